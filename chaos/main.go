package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"
)

// actArgument has the program be a publisher or a worker.
const actArgument = "act"

func main() {
	var err error
	if len(os.Args) == 3 && os.Args[1] == actArgument {
		err = act(os.Args[2])
	} else {
		err = direct()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func direct() error {
	engineName := flag.String("engine", "", "the one engine to put to the test")
	only := flag.String("scenario", "", "the one scenario to run")
	duration := flag.Duration("time", time.Minute, "how long the mixed scenario lasts")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random in the director")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	failed := 0
	for _, e := range engines {
		if *engineName != "" && e.name != *engineName {
			continue
		}
		for _, sc := range scenarios {
			if *only != "" && sc.name != *only {
				continue
			}
			fmt.Printf("== %s: %s: %s\n", e.name, sc.name, sc.about)
			r, err := play(ctx, sc, stage{engine: e, program: program, duration: *duration, saying: 5 * time.Second, random: rand.New(rand.NewPCG(*seed, 0)), out: os.Stdout})
			if err != nil {
				return err
			}
			r.report(os.Stdout)
			failed += len(r.violations)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d violations", failed)
	}
	return nil
}
