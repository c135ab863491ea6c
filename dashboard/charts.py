"""Charts, drawn by HoloViews once and then fed through their own source.

HoloViews makes the figure from an element that says what is shown. A rendering takes 30 to 60 ms of the loop that all
sessions share, a ``DynamicMap`` takes that at every update; setting the columns of the source takes 0.2 ms. So what moves
is rendered once per page and fed; what is only looked at, like the history of one break, is rendered when asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import holoviews as hv
import holoviews.plotting.bokeh
import pandas as pd
from bokeh.document import Document
from bokeh.io.doc import patch_curdoc
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter

from dashboard import theme
from dashboard.earnings import Curves
from dashboard.zone import UTC_ZONE, Zone

hv.Store.set_current_backend("bokeh")
assert holoviews.plotting.bokeh is not None  # importing it registers the backend

EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001  Bokeh draws a naive time as it is, as the axis says
TOTAL: Final = "Total"


def rendered(element: Any) -> Any:
    """The figure of an element, which belongs to no page yet.

    HoloViews sets its theme on the document at hand, and Bokeh then writes it into every model of it: of a page that others
    draw on meanwhile, at any moment, whether its document is locked or not.
    """
    apart = Document()
    with patch_curdoc(apart):
        return hv.render(element)


def equity_chart(zone: Zone = UTC_ZONE) -> tuple[Any, ColumnDataSource]:
    """One line per strategy; returns the figure and the source to set the columns of, see :func:`equity_columns`."""
    line = {"at": [EPOCH, EPOCH + timedelta(seconds=1)], "equity": [0.0, 1.0], "strategy": "", "colour": "#888888"}
    lines = hv.Contours([line], ["at", "equity"], ["strategy", "colour"]).opts(
        line_width=2,
        responsive=True,
        height=250,
        toolbar=None,
        default_tools=[],
        show_legend=False,
        xlabel="time (UTC)",
        ylabel="",
        show_grid=True,
        fontscale=1,
    )
    plot = rendered(lines)
    drawn = plot.renderers[0]
    drawn.data_source.data = equity_columns({})
    for glyph in (drawn.glyph, drawn.nonselection_glyph, drawn.selection_glyph, drawn.hover_glyph, drawn.muted_glyph):
        if glyph is not None and glyph != "auto":
            glyph.update(line_color="colour", line_alpha=1.0)
    plot.add_tools(
        HoverTool(
            tooltips=[("strategy", "@strategy"), ("at", f"$x{{%F %H:%M:%S}} {zone.label}"), ("equity", "$y{+0,0.00}")],
            formatters={"$x": "datetime"},
            line_policy="nearest",
        )
    )
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0[.]00")
    plot.xaxis.ticker.desired_num_ticks = 4
    return plot, drawn.data_source


def name_axis(plot: Any, name: str) -> None:
    """Name the time axis, should it not have this name already; in a hold, like all that is written past Panel."""
    if plot.xaxis[0].axis_label != name:
        plot.xaxis[0].axis_label = name


def equity_columns(
    curves: Curves, total: tuple[list[datetime], list[float]] | None = None, shift: timedelta = timedelta(0)
) -> dict[str, list[Any]]:
    """Columns of the equity chart's source; naive, since Bokeh draws a naive time as it is: UTC plus ``shift``."""
    named = list(curves.items()) + ([(TOTAL, total)] if total is not None and len(curves) > 1 else [])
    colours = theme.STRATEGY_COLOURS
    return {
        "xs": [[moment.astimezone(UTC).replace(tzinfo=None) + shift for moment in times] for _, (times, _) in named],
        "ys": [values for _, (_, values) in named],
        "strategy": [name for name, _ in named],
        "colour": [
            theme.TOTAL_COLOUR if name == TOTAL and i == len(curves) else colours[i % len(colours)]
            for i, (name, _) in enumerate(named)
        ],
    }


def legend_html(columns: Mapping[str, list[Any]]) -> str:
    """Which colour is whose, beside the chart: its canvas says nothing to a screen reader and has no room for long names."""
    lines = zip(columns["strategy"], columns["colour"], strict=True)
    keys = "".join(
        f'<span class="key"><span style="background:{colour}"></span>{theme.escape(name)}</span>'
        for name, colour in lines
    )
    return f'<p class="keys">{keys}</p>'


def total_curve(curves: Curves, equity: pd.DataFrame) -> tuple[list[datetime], list[float]] | None:
    """The sum over the strategies, where all of them are known; ``None`` when that never was.

    Args:
        curves: The known values.
        equity: The samples they were made from. Before its first sample a strategy had no book and adds nothing; from
            then until its first known value the total is unknown.
    """
    if not curves:
        return None
    firsts = pd.to_datetime(equity["timestamp"], utc=True, cache=False).groupby(equity["strategy"].astype(str)).min()
    began = {str(name): moment for name, moment in firsts.items()}
    lines = {name: pd.Series(values, index=pd.DatetimeIndex(times)) for name, (times, values) in curves.items()}
    lines = {name: line[~line.index.duplicated(keep="last")] for name, line in lines.items()}
    together = pd.concat(lines, axis=1).sort_index().ffill()
    for name in began:
        if name not in together:
            together[name] = float("nan")  # it was never known
    for name in together.columns:
        if name in began:
            together.loc[together.index < began[name], name] = 0.0
    summed = together.dropna().sum(axis=1)
    if summed.empty:
        return None
    return [moment.to_pydatetime() for moment in summed.index], [float(value) for value in summed]


def fit_ranges(plot: Any, columns: Mapping[str, list[Any]]) -> None:
    """Let both axes hold all lines, with some air above and below."""
    times = [moment for line in columns["xs"] for moment in line]
    values = [value for line in columns["ys"] for value in line]
    air = 0.06 * ((max(values) - min(values)) or 1.0)
    plot.x_range.update(start=min(times), end=max(times) + timedelta(seconds=1))
    plot.y_range.update(start=min(values) - air, end=max(values) + air)


def residual_chart(history: pd.DataFrame, until: datetime, zone: Zone = UTC_ZONE) -> Any:
    """The residual of one break over time, as steps: it stands until the next change.

    Args:
        history: ``recorded_at`` (aware), ``residual`` and ``state``, oldest first, at least one row.
        until: Where the last step ends, aware.
        zone: What the times are shown in.
    """
    last = history.iloc[[-1]].assign(recorded_at=pd.Timestamp(until))
    steps = pd.concat([history, last], ignore_index=True)
    steps["recorded_at"] = pd.to_datetime(steps["recorded_at"], utc=True, cache=False).dt.tz_localize(None)
    steps["recorded_at"] += zone.shift(until)
    steps = steps[["recorded_at", "residual", "state"]]
    line = hv.Curve(steps, "recorded_at", "residual").opts(
        interpolation="steps-post", color=theme.STRATEGY_COLOURS[0], line_width=2
    )
    dots = hv.Scatter(steps.iloc[:-1], "recorded_at", ["residual", "state"]).opts(
        color=theme.STRATEGY_COLOURS[0],
        size=7,
        tools=[
            HoverTool(
                tooltips=[
                    ("at", f"@recorded_at{{%F %H:%M:%S}} {zone.label}"),
                    ("residual", "@residual{+0,0.########}"),
                    ("state", "@state"),
                ],
                formatters={"@recorded_at": "datetime"},
            )
        ],
    )
    both = (line * dots * hv.HLine(0).opts(color="#888888", line_width=1)).opts(
        responsive=True,
        height=190,
        toolbar=None,
        default_tools=[],
        xlabel=zone.axis(until),
        ylabel="residual",
        show_grid=True,
    )
    return rendered(both)
