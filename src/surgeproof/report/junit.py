"""``junit.xml``: one suite for a run, one case for a gate, as CI servers read it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from surgeproof.model.words import Status
from surgeproof.report.gate_view import GateView
from surgeproof.report.run import Run
from surgeproof.report.sentences import headline

__all__ = ["render_junit"]

# XML 1.0 allows no other signs, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(run: Run) -> str:
    """Return the suite: a breach is a failure, a gate that could not be judged an error.

    Whatever else spoiled the verdict is a case of its own, or a run that cannot be trusted
    would look green.
    """
    suite = ET.Element("testsuite", name=_text(run.name))
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(run):
        ET.SubElement(properties, "property", name=name, value=_text(value))
    if run.result is None:
        _spoiled(suite, "no_verdict", headline(run).rest)
    else:
        for gate in run.result.gates:
            _add_gate(suite, gate)
        for reason in run.result.reasons:
            if not reason.code.startswith("gate_"):
                _spoiled(suite, reason.code, reason.message)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    suite.set("time", f"{run.end_s:.3f}")
    if run.result is not None and run.result.started_at:
        suite.set("timestamp", _text(run.result.started_at)[:19])
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _add_gate(suite: ET.Element, gate: GateView) -> None:
    result = gate.result
    length_s = result.window.duration_s if result.window else 0.0
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_text(gate.where),
        name=_text(gate.name),
        time=f"{length_s:.3f}",
    )
    if result.status is Status.PASS:
        return
    told = {"message": _text(result.message)}
    if result.status is Status.FAIL:
        verdict = ET.SubElement(case, "failure", told, type="breach")
    else:
        verdict = ET.SubElement(case, "error", told, type=str(result.status))
    verdict.text = _text(
        f"{result.expression}\nlimit {gate.limit_text}, measured {gate.value_text}, n {result.n}"
    )


def _spoiled(suite: ET.Element, code: str, message: str) -> None:
    case = ET.SubElement(suite, "testcase", classname="run", name=_text(code), time="0.000")
    ET.SubElement(case, "error", type=_text(code), message=_text(message))


def _properties(run: Run) -> list[tuple[str, str]]:
    found = [("run.id", run.id)]
    if run.result is not None:
        found += [
            ("verdict", run.result.words),
            ("exit_code", str(run.result.exit_code)),
            ("seed", run.result.seed),
        ]
    commit = run.provenance.get("git_commit")
    return found + ([("git_commit", str(commit))] if commit else [])


def _text(text: str) -> str:
    return _FORBIDDEN.sub("", text)
