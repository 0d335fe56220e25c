"""An evaluation as one HTML file that stands alone, for readers who know nothing of the project."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from cs3d_ros.evaluation import words
from cs3d_ros.evaluation.evaluate import Evaluation
from cs3d_ros.evaluation.plots import calibration_svg, confusion_svg, timeline_svg
from cs3d_ros.evaluation.scores import Scores
from cs3d_ros.evaluation.stream_scores import Pooled, StreamScores, StreamTotals
from cs3d_ros.evaluation.summary import as_json, percent, seconds_as_ms
from cs3d_ros.recordings.output import replaced

_LONGEST_PROVENANCE = 20_000

_CSS = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem 1rem 3rem;max-width:62rem;background:#fff;color:#1c1c1c;
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:.4rem 0 .2rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2.4rem 0 .5rem;padding-top:.6rem;border-top:2px solid #1c1c1c}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem;overflow-wrap:anywhere}
p,li{max-width:46rem}
.faint,figcaption,caption{color:#5c5c5c;font-size:.9rem}
.warning{border-left:5px solid #d55e00;background:#fdf1e8;padding:.6rem .9rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.8rem;
 margin:1rem 0}
.card{border:1px solid #cfcfcf;border-radius:.5rem;padding:.7rem .9rem;break-inside:avoid}
.card b{display:block;font-size:1.7rem;line-height:1.2}
.wide{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-size:.94rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:.3rem}
th,td{padding:.25rem .55rem;text-align:right;border-bottom:1px solid #e2e2e2;white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{border-bottom:1.5px solid #777;vertical-align:bottom;white-space:normal;line-height:1.2}
.about td{text-align:left;white-space:normal;overflow-wrap:anywhere;vertical-align:top}
.about td:first-child{white-space:nowrap;overflow-wrap:normal;color:#5c5c5c}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1.2rem}
figure{margin:.8rem 0;break-inside:avoid}
figure img{width:100%;height:auto;display:block}
.wide img{min-width:44rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem;background:#f5f5f5;padding:.7rem}
dt{font-weight:600;margin-top:.7rem}
dd{margin:0;max-width:46rem}
.key{display:inline-block;width:1.6em;height:.7em;margin-right:.3em;vertical-align:baseline}
@media print{body{max-width:none;padding:0;font-size:10.5pt}.wide{overflow:visible}
 .wide img{min-width:0}table,.card{break-inside:avoid}h2,h3{break-after:avoid}}
"""

_KEY = (
    '<span class="key" style="border:2px solid #0072b2"></span>when the expression was shown; '
    '<span class="key" style="background:#444"></span>probability that the network gave it, '
    'the darker the surer; <span class="key" style="background:#009e73;height:.3em"></span>said, '
    'and right; <span class="key" style="background:#d55e00;height:.3em"></span>false alarm'
)


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write the report, replacing a file that is there.

    Raises:
        Cs3dError: matplotlib is not installed, or the file cannot be written.
    """
    text = as_html(evaluation)
    with replaced(path, overwrite=True) as new:
        new.write_text(text, encoding="utf-8")


def as_html(evaluation: Evaluation) -> str:
    """The report as one page. Whatever comes from files is escaped, and nothing is loaded.

    Raises:
        Cs3dError: matplotlib is not installed.
    """
    title = f"How well {evaluation.model['name']} recognises expressions"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        # Should anything ever slip through unescaped, it could neither run nor load anything.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{_CSS}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="faint">Evaluated on {escape(evaluation.date)} on '
        f"{escape(words.data(evaluation))}</p>",
        *(f'<p class="warning">{escape(w)}</p>' for w in words.warnings(evaluation)),
        *(f"<p>{escape(sentence)}</p>" for sentence in words.introduction(evaluation)),
        _cards(list(words.headlines(evaluation))),
        *_clips(evaluation),
        *_windows(evaluation),
        *_streams(evaluation),
        *_about(evaluation),
        "<h2>What these numbers do not say</h2><ul>",
        *(f"<li>{escape(caveat)}</li>" for caveat in words.caveats(evaluation)),
        "</ul><h2>What each number means</h2><dl>",
        *(
            f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>"
            for term, meaning in words.glossary(evaluation)
        ),
        "</dl></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _clips(evaluation: Evaluation) -> list[str]:
    scores = evaluation.clips
    if scores is None:
        return []
    return [
        "<h2>Clip by clip</h2>",
        "<p>Of each clip the network saw one window: the one in which the expression comes.</p>",
        _paragraph(words.of_scores(scores, "clips")),
        '<div class="pair">',
        _picture(
            confusion_svg(scores),
            "What was shown, row by row, and what the network took it for. All right would be "
            "numbers on the diagonal only. The darker, the larger the share of the row.",
        ),
        _picture(
            calibration_svg(scores),
            "Is the network as sure as it is right? Above the dashed line it is right more often "
            "than it claims, below it less often. Below: how many clips have which confidence.",
        ),
        "</div>",
        _class_table(scores),
        *_group_tables(scores, "clips"),
    ]


def _windows(evaluation: Evaluation) -> list[str]:
    scores = evaluation.windows
    if scores is None:
        return []
    return [
        "<h2>Windows all over the clips</h2>",
        "<p>Here the network saw every part of the clips, also those in which an expression is "
        "held still. An event camera sees changes only, so that this is harder than clip by "
        "clip.</p>",
        _paragraph(words.of_scores(scores, "windows")),
        *_group_tables(scores, "windows"),
        _class_table(scores),
    ]


def _streams(evaluation: Evaluation) -> list[str]:
    pooled = evaluation.pooled
    if pooled is None:
        return []
    parts = [
        "<h2>Continuous recordings</h2>",
        "<p>Nobody tells the network when an expression comes: a message is made of every window, "
        "as in use.</p>",
        _paragraph(words.of_streams(pooled.totals)),
        _stream_table("recording", _by_recording(evaluation.streams, pooled)),
        _stream_table("expression", list(pooled.by_expression.items())),
    ]
    if pooled.by_intensity:
        parts.append(_stream_table("intensity", list(pooled.by_intensity.items())))
    if len(pooled.by_light) > 1:
        parts.append(_stream_table("light", list(pooled.by_light.items())))
    for stream in evaluation.streams:
        about = ", ".join(
            text
            for text in (
                f"light {stream.light}" if stream.light != "unknown" else "",
                stream.subject,
                f"{stream.messages.packets_skipped} damaged packets skipped"
                if stream.messages.packets_skipped
                else "",
                f"{stream.messages.packets_lost} packets missing"
                if stream.messages.packets_lost
                else "",
            )
            if text
        )
        parts += [
            f"<h3>{escape(stream.name)}</h3>",
            f'<p class="faint">{escape(about)}</p>' if about else "",
            f'<p class="faint">{_KEY}</p>',
            f'<div class="wide">{_picture(timeline_svg(stream), "", alt="timeline")}</div>',
        ]
    return parts


def _by_recording(
    streams: Sequence[StreamScores], pooled: Pooled
) -> list[tuple[str, StreamTotals]]:
    rows = [(stream.name, stream.totals) for stream in streams]
    return [*rows, ("all", pooled.totals)] if len(rows) > 1 else rows


def _about(evaluation: Evaluation) -> list[str]:
    content = as_json(evaluation)
    model = dict(content["model"])
    provenance = json.dumps(model.pop("provenance"), indent=1, ensure_ascii=False)
    if len(provenance) > _LONGEST_PROVENANCE:
        provenance = f"{provenance[:_LONGEST_PROVENANCE]}\n… (shortened)"
    return [
        "<h2>What was evaluated</h2>",
        _about_table("The network", model),
        "<details open><summary>Where its weights come from, in their maker's words</summary>"
        f"<pre>{escape(provenance)}</pre></details>",
        _about_table("The data", content["data"]),
        _about_table("The settings", content["settings"]),
    ]


def _about_table(title: str, content: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{escape(str(key))}</td><td>{escape(_as_text(value))}</td></tr>"
        for key, value in content.items()
        if value not in (None, {}, [])
    ]
    return (
        f'<div class="wide"><table class="about"><caption>{escape(title)}</caption>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_as_text(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_as_text(item)}" for key, item in value.items())
    return str(value)


def _cards(headlines: Sequence[tuple[str, str]]) -> str:
    cards = [
        f'<div class="card"><b>{escape(number)}</b>{escape(text)}</div>'
        for number, text in headlines
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _picture(svg: bytes, caption: str, alt: str = "") -> str:
    source = base64.b64encode(svg).decode("ascii")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><img alt="{escape(alt or caption)}" '
        f'src="data:image/svg+xml;base64,{source}">{below}</figure>'
    )


def _class_table(scores: Scores) -> str:
    rows = [
        [
            c.label,
            percent(c.precision),
            percent(c.recall),
            percent(c.f1),
            f"{c.support:,}",
            f"{c.predicted:,}",
        ]
        for c in scores.per_class
    ]
    header = ["expression", "precision", "recall", "F1", "shown", "recognised"]
    return _table("Expression by expression", header, rows)


def _group_tables(scores: Scores, what: str) -> list[str]:
    header = ["", "accuracy", "95 % interval", "balanced", "macro F1", "calibration error", what]
    tables = []
    for kind, groups in scores.groups.items():
        if len(groups) < 2:
            continue
        rows = [
            [
                name,
                percent(s.accuracy),
                words.interval(s),
                percent(s.balanced_accuracy),
                percent(s.macro_f1),
                percent(s.ece),
                f"{s.count:,}",
            ]
            for name, s in groups.items()
        ]
        tables.append(_table(words.GROUPS.get(kind, f"By {kind}"), header, rows))
    return tables


def _stream_table(kind: str, rows: Sequence[tuple[str, StreamTotals]]) -> str:
    header = [
        kind, "shown", "found", "median delay", "90 % within", "false alarms", "per minute",
        "alarms in neutral", "said in neutral", "confused", "said before",
    ]  # fmt: skip
    cells = [
        [
            name,
            f"{t.shown}",
            percent(t.share_found),
            seconds_as_ms(t.delay_median_s),
            seconds_as_ms(t.delay_p90_s),
            _number(t.false_alarms),
            "–" if t.false_alarms_per_min is None else f"{t.false_alarms_per_min:.2f}",
            _number(t.false_alarms_in_neutral),
            percent(t.said_in_neutral),
            f"{t.confused}",
            f"{t.early}",
        ]
        for name, t in rows
    ]
    # Alarms have no intensity.
    known = [i for i in range(len(header)) if any(row[i] != "–" for row in cells)]
    return _table(
        f"By {kind}", [header[i] for i in known], [[row[i] for i in known] for row in cells]
    )


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value}"


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
