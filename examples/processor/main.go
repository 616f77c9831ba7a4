// Processor makes thumbnails behind the uploads: two at a time, with room for
// two more to wait, and whoever comes then is refused. By hand that is
//
//	type Processor struct {
//		jobs    chan Image
//		workers sync.WaitGroup // each: for image := range p.jobs
//	}
//
//	func (p *Processor) Submit(image Image) error {
//		select {
//		case p.jobs <- image:
//			return nil
//		default:
//			return ErrQueueFull
//		}
//	}
//
//	func (p *Processor) Stop() { close(p.jobs); p.workers.Wait() }
//
// where a panic in a worker ends the program, and so does a Submit after Stop.
// Here it is a subscription with WithQueue, WithLanes and WithOverflow(Reject):
// Submit is Publish, ErrQueueFull is ErrFull, Stop is Close.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/typedbus/events"
)

type Image struct {
	Name  string
	Bytes int
}

var ImageUploaded = events.NewTopic[Image]("image.uploaded")

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "processor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	bus := events.New(events.WithErrorHandler(func(_ context.Context, err error) {
		log.Print(err) // the uploader is long gone
	}))
	_, err := ImageUploaded.Subscribe(bus, func(_ context.Context, image Image) error {
		time.Sleep(90 * time.Millisecond) // stands for the work
		if image.Bytes == 0 {
			return fmt.Errorf("%s is empty", image.Name)
		}
		log.Printf("made a thumbnail of %s", image.Name)
		return nil
	}, events.WithName("thumbnails"), events.WithQueue(2), events.WithLanes(2), events.WithOverflow(events.Reject))
	if err != nil {
		return err
	}

	for _, image := range []Image{{"ant", 9}, {"bee", 9}, {"cat", 0}, {"dog", 9}, {"elk", 9}, {"fox", 9}} {
		switch err := ImageUploaded.Publish(ctx, bus, image); {
		case err == nil:
			log.Printf("took %s", image.Name)
		case errors.Is(err, events.ErrFull):
			log.Printf("refused %s: try again later", image.Name)
		default:
			return err
		}
		time.Sleep(20 * time.Millisecond) // until the next upload
	}

	log.Print("closing")
	return bus.Close(ctx) // when all thumbnails are made
}
