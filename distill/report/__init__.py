"""One self-contained HTML page per run: no network, light and dark, printable."""

from distill.report.page import render_report

__all__ = ["render_report"]
