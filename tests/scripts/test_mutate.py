"""The faults that are put into modules to see whether tests notice."""

from __future__ import annotations

import ast

from mutation.operators import mutants_of

SOURCE = '''
"""Words."""
def middle(numbers: list[int] = [1], *, is_late: bool = False) -> float:
    """More words."""
    assert len(numbers) > 3, "as many"
    if not numbers:
        raise ValueError(f"{len(numbers)} are too few")
    numbers.sort()
    return sorted(numbers, reverse=is_late)[1:][len(numbers) // 2] * 0.5
'''


def test_each_fault_is_one_and_no_two_are_the_same() -> None:
    found = {mutant.change for mutant in mutants_of(SOURCE)}
    last = "return sorted(numbers, reverse=is_late)[1:][len(numbers) // 2] * 0.5"
    header = "def middle(numbers: list[int]=[1], *, is_late: bool=False) -> float:"
    assert found == {
        f"{header} -> {header.replace('[1]', '[2]')}",
        f"{header} -> {header.replace('False', 'True')}",
        "if not numbers: -> if True:",
        "if not numbers: -> if False:",
        "if not numbers: -> if not not numbers:",
        "raise ValueError(f'{len(numbers)} are too few') -> pass",
        "numbers.sort() -> pass",
        *(f"{last} -> {last.replace(*each)}" for each in [(", reverse=is_late", ""), ("1:", "2:"), ("1:", ":")]),
        *(f"{last} -> {last.replace(*each)}" for each in [("// 2", "* 2"), ("// 2", "// 3"), ("* 0.5", "// 0.5")]),
        f"{last} -> {last.replace('0.5', '1.5')}",
    }
    for mutant in mutants_of(SOURCE):
        ast.parse(mutant.source)
        assert SOURCE.splitlines()[mutant.line - 1].split()[0] == mutant.change.split()[0]
