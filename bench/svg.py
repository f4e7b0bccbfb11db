"""Plots as plain SVG: how often a gap was no longer than so much, one move probe by probe, and bars beside each other."""
import math
from xml.sax.saxutils import escape

from limits import shown

COLOURS = {"ours": "#d62728", "wireguard-go": "#1f77b4", "wireguard-go (hub at S)": "#17becf", "Nebula": "#9467bd", "Tailscale": "#2ca02c",
           "iroh": "#ff7f0e", "MPTCP": "#8c564b", "bare veth": "#bbb", "copy loop R1": "#888", "copy loop R1p": "#666"}
FONT = 'font-family="Helvetica, Arial, sans-serif"'
TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


class Picture:
    """A white sheet; everything is drawn in pixels."""

    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, [f'<rect width="{width}" height="{height}" fill="white"/>']

    def line(self, x1, y1, x2, y2, colour="#ccc", width=1):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>')

    def path(self, points, colour, width=2):
        steps = " ".join(f"{'L' if number else 'M'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(points))
        self.parts.append(f'<path d="{steps}" fill="none" stroke="{colour}" stroke-width="{width}"/>')

    def dots(self, points, colour, radius=1.4):
        """Many small dots as one element."""
        steps = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        if steps:
            self.parts.append(f'<path d="{steps}" stroke="{colour}" stroke-width="{2 * radius}" stroke-linecap="round"/>')

    def text(self, x, y, words, size=12, anchor="start", colour="#222", bold=False):
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" text-anchor="{anchor}" fill="{colour}"{weight}>'
                          f"{escape(words)}</text>")

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}">\n')
            file.write("\n".join(self.parts) + "\n</svg>\n")


def short_ms(value):
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


class Panel:
    """A frame with a logarithmic axis of milliseconds across and a share from 0 to 1 up."""

    low, high = 1, 30000

    def __init__(self, picture, left, top, width, height):
        self.picture, self.left, self.top, self.width, self.height = picture, left, top, width, height

    def x(self, value):
        value = min(max(value, self.low), self.high)
        return self.left + self.width * math.log(value / self.low) / math.log(self.high / self.low)

    def y(self, share):
        return self.top + self.height * (1 - share)

    def frame(self, title):
        self.picture.text(self.left, self.top - 8, title, 13, bold=True)
        for share in (0, 0.25, 0.5, 0.75, 1):
            self.picture.line(self.left, self.y(share), self.left + self.width, self.y(share))
            self.picture.text(self.left - 6, self.y(share) + 4, f"{100 * share:.0f} %", 10, "end")
        for tick in TICKS_MS:
            self.picture.line(self.x(tick), self.top, self.x(tick), self.top + self.height, "#eee")
        for tick in (1, 10, 100, 1000, 10000):
            self.picture.text(self.x(tick), self.top + self.height + 14, short_ms(tick), 10, "middle")

    def steps(self, sample, colour, width):
        """The share of moves whose gap was no longer; what never ended is missing at the top."""
        finite = sorted(value for value in sample if value is not None)
        points, before = [], 0.0
        for number, value in enumerate(finite, 1):
            points += [(self.x(value), self.y(before)), (self.x(value), self.y(number / len(sample)))]
            before = number / len(sample)
        if points:
            points.append((self.left + self.width, self.y(before)))
        else:
            points = [(self.left, self.y(0)), (self.left + self.width, self.y(0))]
        self.picture.path(points, colour, width)


def legend(picture, names, left, top, room):
    x = left
    for name in names:
        width = 34 + 6.6 * len(name)
        if x + width > left + room:
            x, top = left, top + 18
        picture.line(x, top - 4, x + 22, top - 4, COLOURS.get(name, "#555"), 3)
        picture.text(x + 27, top, name, 12)
        x += width


def cumulative(path, title, panels, goals=None):
    """panels: (title, {name: gaps in ms, None for never}); goals: ms by panel title, a dashed line."""
    columns, width, height = min(2, len(panels)), 380, 170
    rows = math.ceil(len(panels) / columns)
    picture = Picture(60 + columns * (width + 60), 90 + rows * (height + 60))
    picture.text(50, 24, title, 15, bold=True)
    names = [name for name in COLOURS if any(name in samples for _, samples in panels)]
    legend(picture, names, 50, 46, columns * (width + 60) - 40)
    for number, (caption, samples) in enumerate(panels):
        panel = Panel(picture, 50 + (number % columns) * (width + 60), 100 + (number // columns) * (height + 60), width, height)
        panel.frame(caption)
        goal = (goals or {}).get(caption)
        if goal:
            picture.parts.append(f'<line x1="{panel.x(goal):.1f}" y1="{panel.top}" x2="{panel.x(goal):.1f}" y2="{panel.top + height}" '
                                 'stroke="#d62728" stroke-dasharray="3 3"/>')
        for name in reversed(names):
            if name in samples:
                panel.steps(samples[name], COLOURS.get(name, "#555"), 3 if name == "ours" else 2)
    picture.write(path)


def timeline(path, title, stories, before_ms=60, after_ms=400, top_ms=450):
    """stories: (name, [[sent ms after the move, ms it took or None]]). A dot is a probe: when it left, how long it was under way."""
    width, height = 800, 110
    picture = Picture(width + 90, 70 + len(stories) * (height + 48))
    picture.text(50, 24, title, 15, bold=True)
    for number, (name, story) in enumerate(stories):
        top = 66 + number * (height + 48)
        timeline_panel(picture, name, story, (50, top, width, height), (before_ms, after_ms, top_ms))
    picture.write(path)


def timeline_panel(picture, name, story, place, scale):
    left, top, width, height = place
    before_ms, after_ms, top_ms = scale

    def x(when):
        return left + width * (when + before_ms) / (before_ms + after_ms)

    def y(took):
        return top + height * (1 - min(took, top_ms) / top_ms)
    picture.text(left, top - 8, name, 13, bold=True)
    for tick in range(0, top_ms + 1, 150):
        picture.line(left, y(tick), left + width, y(tick), "#ddd")
        picture.text(left - 6, y(tick) + 4, str(tick), 10, "end")
    for when in range(-50, after_ms + 1, 50):
        picture.line(x(when), top, x(when), top + height, "#eee")
        picture.text(x(when), top + height + 14, f"{when}", 10, "middle")
    picture.line(x(0), top - 4, x(0), top + height, "#222", 1.5)
    shown = [(when, took) for when, took in story if -before_ms <= when <= after_ms]
    picture.dots([(x(when), y(took)) for when, took in shown if took is not None], COLOURS.get(name, "#555"))
    for when, took in shown:
        if took is None:
            picture.line(x(when), top + height - 7, x(when), top + height, "#000", 0.8)


def bars(path, title, panels, columns=3):
    """panels: (caption, {name: (middle, least, most)}), each with a scale of its own."""
    width, bar, gap = 330, 15, 52
    heights = [max(len(named) for _, named in panels[first:first + columns]) * bar + gap for first in range(0, len(panels), columns)]
    picture = Picture(20 + columns * (width + 20), 50 + sum(heights))
    picture.text(20, 24, title, 15, bold=True)
    for number, (caption, named) in enumerate(panels):
        left, top = 20 + (number % columns) * (width + 20), 60 + sum(heights[:number // columns])
        bar_panel(picture, caption, named, (left, top, width, bar))
    picture.write(path)


def bar_panel(picture, caption, named, place):
    left, top, width, bar = place
    label, room = 110, 60
    most = max((high for _, _, high in named.values()), default=0) or 1

    def x(value):
        return left + label + (width - label - room) * value / most
    picture.text(left, top, caption, 12, bold=True)
    for number, (name, (middle, low, high)) in enumerate(named.items()):
        y = top + 8 + number * bar
        picture.text(left + label - 5, y + 10, name, 10, "end")
        picture.parts.append(f'<rect x="{x(0):.1f}" y="{y}" width="{x(middle) - x(0):.1f}" height="{bar - 4}" '
                             f'fill="{COLOURS.get(name, "#5b8")}"/>')
        picture.line(x(low), y + (bar - 4) / 2, x(high), y + (bar - 4) / 2, "#222", 1)
        picture.text(max(x(high), x(middle)) + 4, y + 10, shown(middle), 10)
