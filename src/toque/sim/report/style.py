"""How the page of a study looks, on paper white and on night: one style sheet.

Law: text stands out by at least 4.5 to 1 and lines by at least 3 to 1 (WCAG AA); a test computes it. No meaning is in colour alone.
"""

LIGHT = {
    "back": "#ffffff",
    "card": "#f6f7f9",
    "text": "#1a1f26",
    "soft": "#4d5866",
    "grid": "#dfe3e8",
    "edge": "#7b8694",
    "good": "#1b6e3c",
    "bad": "#a32020",
    "load": "#3d6fb4",
    "ready": "#b3450b",
}
DARK = {
    "back": "#12161c",
    "card": "#1a2028",
    "text": "#e8ebef",
    "soft": "#a9b4c0",
    "grid": "#2c343e",
    "edge": "#77828f",
    "good": "#6fd198",
    "bad": "#ff9a94",
    "load": "#7fb0f5",
    "ready": "#ff9e64",
}
SERIES_LIGHT = (
    "#1f5fbf",
    "#b3450b",
    "#14795a",
    "#8a3ea8",
    "#8f5b00",
    "#c02a5c",
    "#0b6f8a",
    "#5b6270",
    "#5d6b00",
    "#4a3fbf",
)
SERIES_DARK = (
    "#7fb2ff",
    "#ff9e64",
    "#5fd3a6",
    "#d6a2f0",
    "#f0c04a",
    "#ff8fb0",
    "#5fd0ea",
    "#b9c0ca",
    "#c3d34f",
    "#b0adff",
)
DASHES = ("none", "7 3", "2 3", "10 3 2 3")


def style_sheet() -> str:
    """Return the whole style sheet."""
    series = "".join(_series(number) for number in range(len(SERIES_LIGHT)))
    light, dark = _colours(LIGHT, SERIES_LIGHT), _colours(DARK, SERIES_DARK)
    night = f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f":root{{color-scheme:light dark;{light}}}{night}{_RULES}{series}"


def _colours(named: dict[str, str], series: tuple[str, ...]) -> str:
    all_of_them = {**named, **{f"s{number}": colour for number, colour in enumerate(series)}}
    return "".join(f"--{name}:{colour};" for name, colour in all_of_them.items())


def _series(number: int) -> str:
    dash = DASHES[number % len(DASHES)]
    return (
        f".line.s{number}{{stroke:var(--s{number});stroke-dasharray:{dash}}}"
        f".mark.s{number}{{fill:var(--s{number})}}.label.s{number}{{fill:var(--s{number})}}"
    )


_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1060px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.65rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.2rem;margin:38px 0 6px}
h3{font-size:1rem;margin:0 0 2px}
p{margin:4px 0 10px;max-width:76ch}
.soft{color:var(--soft);max-width:none}
.answer{font-size:1.1rem;margin:16px 0;padding:14px 18px;background:var(--card);border-left:4px solid var(--load);border-radius:4px;max-width:none}
.wide{overflow-x:auto}
.wide:focus-visible{outline:2px solid var(--load);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 9px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th:first-child,td:first-child{text-align:left}
thead th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--edge);vertical-align:bottom;white-space:normal}
tbody th{font-weight:600}
tr.best{background:var(--card)}
.words{white-space:normal;text-align:left}
td.words{min-width:16rem}
.good{color:var(--good)}
.bad{color:var(--bad);font-weight:600}
figure{margin:14px 0;padding:14px 16px 8px;background:var(--card);border-radius:8px}
svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
text{fill:var(--text)}
.tick,.small{fill:var(--soft)}
.end{text-anchor:end}
.middle{text-anchor:middle}
.label{font-weight:600}
.grid{stroke:var(--grid)}
.edge{stroke:var(--edge)}
.leader{stroke:var(--edge)}
.limit{stroke:var(--text);stroke-dasharray:5 4}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.line.thin{stroke-width:1}
.line.load{stroke:var(--load)}
.line.ready{stroke:var(--ready)}
.line.plan,.line.fixed{stroke:var(--soft)}
.line.fixed{stroke-dasharray:3 3}
.area{stroke:none}
.area.load{fill:var(--load);opacity:.3}
.area.starting{fill:var(--ready);opacity:.4}
.mark{stroke:var(--card);stroke-width:1.5}
.mark.plan,.mark.fixed{fill:var(--text)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:4px 0 6px;padding:0;list-style:none;color:var(--soft)}
.legend li{display:flex;align-items:center;gap:7px}
.legend svg{width:28px;height:10px;flex:none}
@media(max-width:640px){main{padding:18px 12px 40px}figure{padding:10px 8px 4px}h1{font-size:1.35rem}
figure svg{min-width:600px}figure{overflow-x:auto}.legend svg{min-width:0}}
@media print{figure,.answer{break-inside:avoid}}
"""
