"""Every snippet of the README runs and prints what the README shows."""

import doctest
import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


class Checker(doctest.OutputChecker):
    """Compares exactly, but for the numbers in rows of the training table, which depend on the machine."""

    def check_output(self, want, got, optionflags):
        return super().check_output(_blank(want), _blank(got), optionflags)


def _blank(text):
    """Replace numbers and their padding in rows of the training table."""
    rows = [re.sub(r" *\d[\d.:%e+-]*", " #", line) if line.startswith("| ") else line for line in text.splitlines()]
    return "\n".join(rows) + "\n"


def _with_marked_blank_lines(block):
    """Mark the blank lines inside outputs, as doctest wants them; in the README they are just blank."""
    return re.sub(r"\n(?=\n)", "\n<BLANKLINE>", re.sub(r"\n+(?=>>>|$)", "\n", block.rstrip("\n") + "\n"))


def test_readme_snippets():
    text = README.read_text(encoding="utf-8")
    blocks = [_with_marked_blank_lines(block) for block in re.findall(r"```pycon\n(.*?)```", text, re.DOTALL)]
    assert blocks and text.count("```python") == 0, "snippets are written as they look at the prompt: ```pycon"
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README", str(README), 0)
    report = []
    doctest.DocTestRunner(Checker()).run(test, out=report.append)
    assert not report, "".join(report)


def test_checker_sees_a_changed_table():
    row = "|       1 |           1 |       00:00:00 |       10.94% |       2.7816 |          0.0100 |\n"
    other = "|       4 |         156 |       00:01:10 |       98.44% |       0.0452 |      1.0000e-04 |\n"
    checker = Checker()
    assert checker.check_output(row, other, 0)
    assert not checker.check_output(row, row.replace("|", "!"), 0)
    assert not checker.check_output("Test accuracy: 98.94\n", "Test accuracy: 90.00\n", 0)


def test_setup_commands_name_existing_things():
    text = README.read_text(encoding="utf-8")
    assert "python examples/train_digits.py" in text and (README.parent / "examples/train_digits.py").exists()
    assert "pip install -e '.[test]' && pytest" in text


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert links and all((README.parent / link).exists() for link in links)
