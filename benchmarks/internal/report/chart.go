package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// A shade is a colour on a light page and the one that takes its place on a dark page.
type shade struct{ light, dark string }

var (
	paper  = shade{"#F6F8FA", "#161B22"}
	ink    = shade{"#1F2328", "#E6EDF3"}
	muted  = shade{"#D1D9E0", "#30363D"}
	band   = shade{"#DDEBFB", "#1B2B41"}
	series = []shade{
		{"#0550AE", "#79C0FF"},
		{"#BC4C00", "#FFA657"},
		{"#116329", "#7EE787"},
	}
)

// sans is the typeface of the charts. Its metrics are those of the faces that browsers fall back to.
var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

// rgb returns the light colour, the one that the plot is drawn in.
func (s shade) rgb() color.Color {
	var r, g, b uint8
	if _, err := fmt.Sscanf(s.light, "#%02X%02X%02X", &r, &g, &b); err != nil {
		panic("report: " + s.light + " is no colour")
	}
	return color.RGBA{r, g, b, 255}
}

// darken makes the drawing follow the page: it adds a style sheet that replaces each colour on a dark one. The colours stand
// in style attributes, over which only an important declaration wins.
func darken(svg string) string {
	var css strings.Builder
	css.WriteString("<style>@media (prefers-color-scheme: dark) {")
	for _, s := range append([]shade{paper, ink, muted, band}, series...) {
		for _, property := range []string{"fill", "stroke"} {
			fmt.Fprintf(&css, " [style*=\"%s:%s\"] { %s: %s !important }", property, s.light, property, s.dark)
		}
	}
	css.WriteString(" }</style>")
	head, rest, _ := strings.Cut(svg, "<svg")
	attributes, body, _ := strings.Cut(rest, ">")
	return head + "<svg" + attributes + ">\n" + css.String() + body
}

// A row is one contender in a chart, with one figure for each series.
type row struct {
	name    string
	ours    bool
	figures []ledger.Figure
}

// rows returns the contenders that have all the plotted figures of the group, the fastest last, since charts count from
// below.
func (g group) rows(contenders []contender.Contender, results *ledger.Ledger) []row {
	var rows []row
next:
	for _, c := range contenders {
		r := row{name: c.Name, ours: c.Kind == contender.Ours}
		for _, col := range g.columns[:g.plotted] {
			figure, ok := results.Figure(ledger.Cell{Scenario: col.scenario, Contender: c.ID}, col.metric)
			if !ok || figure.Median <= 0 {
				continue next
			}
			r.figures = append(r.figures, figure)
		}
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch x, y := a.figures[0].Median, b.figures[0].Median; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return rows
}

// chart draws the group as dots on a logarithmic axis, where bars would need a beginning that there is none of.
func (g group) chart(rows []row) (string, error) {
	p := plot.New()
	p.BackgroundColor = paper.rgb()
	p.Title.Text = g.title
	p.Title.TextStyle.Color = ink.rgb()
	p.Title.TextStyle.Font = font.From(sans, vg.Points(14))
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text = g.axis + " (less is better, logarithmic)"
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = ticks(g.columns[0].metric)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = muted.rgb()
		axis.Label.TextStyle.Color = ink.rgb()
		axis.Tick.Color = muted.rgb()
		axis.Tick.Label.Color = ink.rgb()
		axis.Tick.Label.Font = font.From(sans, vg.Points(11))
		axis.Label.TextStyle.Font = font.From(sans, vg.Points(11))
	}
	names := make([]string, len(rows))
	least, most := math.Inf(1), 0.0
	for i, r := range rows {
		names[i] = r.name
		for _, f := range r.figures {
			least, most = min(least, f.Median), max(most, f.Median)
		}
	}
	p.NominalY(names...)
	// The value of the last dot stands to its right and needs room there.
	p.X.Min, p.X.Max = least/1.5, most*math.Pow(most/least, 0.12)*1.5
	p.Y.Min, p.Y.Max = -0.7, float64(len(rows))-0.3
	if g.plotted > 1 {
		// The legend stands above the rows, for there is no corner that is empty in every chart.
		p.Y.Max += 0.75 * float64(g.plotted)
	}
	p.Y.Tick.Length, p.Y.LineStyle.Width = 0, 0

	for i, r := range rows {
		if err := g.addRow(p, float64(i), r); err != nil {
			return "", err
		}
	}
	for i := range g.columns[:g.plotted] {
		if err := g.addSeries(p, i, rows); err != nil {
			return "", err
		}
	}
	p.Legend.Top = true
	p.Legend.TextStyle.Color = ink.rgb()
	p.Legend.TextStyle.Font = font.From(sans, vg.Points(11))
	p.Legend.Padding = vg.Points(3)

	return render(p, vg.Points(760), vg.Points(60+22*(p.Y.Max-p.Y.Min)))
}

// addRow draws what lies behind the dots of one contender: a band when it is ours, and a line from its first dot to its last.
func (g group) addRow(p *plot.Plot, y float64, r row) error {
	if r.ours {
		stripe, err := plotter.NewPolygon(plotter.XYs{
			{X: p.X.Min, Y: y - 0.42}, {X: p.X.Max, Y: y - 0.42}, {X: p.X.Max, Y: y + 0.42}, {X: p.X.Min, Y: y + 0.42},
		})
		if err != nil {
			return err
		}
		stripe.Color = band.rgb()
		stripe.LineStyle.Width = 0
		p.Add(stripe)
	}
	medians := make([]float64, len(r.figures))
	for i, f := range r.figures {
		medians[i] = f.Median
	}
	line, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: y}, {X: slices.Max(medians), Y: y}})
	if err != nil {
		return err
	}
	line.Color = muted.rgb()
	line.Width = vg.Points(1)
	p.Add(line)
	return nil
}

// addSeries draws the dots of one column, and the values beside the last ones.
func (g group) addSeries(p *plot.Plot, i int, rows []row) error {
	points := make(plotter.XYs, len(rows))
	values := plotter.XYLabels{}
	for y, r := range rows {
		points[y] = plotter.XY{X: r.figures[i].Median, Y: float64(y)}
		// Only one number per row fits without running into another dot: that of the dot furthest right.
		if slices.MaxFunc(r.figures, func(a, b ledger.Figure) int { return cmpMedian(a, b) }).Median == r.figures[i].Median {
			values.XYs = append(values.XYs, points[y])
			values.Labels = append(values.Labels, amount(r.figures[i].Median, g.columns[i].metric))
		}
	}
	dots, err := plotter.NewScatter(points)
	if err != nil {
		return err
	}
	dots.Color = series[i].rgb()
	dots.Shape = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}}[i]
	dots.Radius = vg.Points(4)
	p.Add(dots)
	if g.plotted > 1 {
		p.Legend.Add(g.columns[i].header, dots)
	}
	labels, err := plotter.NewLabels(values)
	if err != nil {
		return err
	}
	labels.Offset = vg.Point{X: vg.Points(8)}
	for j := range labels.TextStyle {
		labels.TextStyle[j] = text.Style{
			Color:   series[i].rgb(),
			Font:    font.From(sans, vg.Points(10)),
			YAlign:  text.YCenter,
			Handler: plot.DefaultTextHandler,
		}
	}
	p.Add(labels)
	return nil
}

func cmpMedian(a, b ledger.Figure) int {
	switch {
	case a.Median < b.Median:
		return -1
	case a.Median > b.Median:
		return 1
	}
	return 0
}

// ticks marks the powers of ten, with their unit.
func ticks(metric scenario.Metric) plot.Ticker {
	return plot.TickerFunc(func(least, most float64) []plot.Tick {
		var marks []plot.Tick
		for exponent := math.Floor(math.Log10(least)); exponent <= math.Ceil(math.Log10(most)); exponent++ {
			v := math.Pow(10, exponent)
			if v >= least && v <= most {
				number, unit, _ := strings.Cut(amount(v, metric), " ")
				marks = append(marks, plot.Tick{Value: v, Label: trim(number) + " " + unit})
			}
		}
		return marks
	})
}

func render(p *plot.Plot, width, height vg.Length) (string, error) {
	canvas := vgsvg.New(width, height)
	whole := draw.New(canvas)
	whole.FillPolygon(paper.rgb(), []vg.Point{{}, {X: width}, {X: width, Y: height}, {Y: height}})
	p.Draw(draw.Crop(whole, vg.Points(24), -vg.Points(12), vg.Points(8), -vg.Points(10)))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", err
	}
	return darken(out.String()), nil
}
