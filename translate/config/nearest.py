"""Find the names that were probably meant by a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from translate.config.habits import settings_called

MAX_LENGTH = 50  # characters of a name that is compared


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name with the fewest edits from the word, or None if they change more than a third of it."""
    word = word.lower().replace("-", "_")
    if len(word) > MAX_LENGTH:
        return None
    count, name = min(((num_edits(word, each), each) for each in known), default=(len(word), ""))
    return name if count <= max(1, min(len(word), len(name)) // 3) else None


def nearest_settings(name: str, known: Sequence[str]) -> list[str]:
    """Return the settings that may be meant by an unknown one, best guesses only. All names are `section.key`.

    They have the same key, another program calls them so, or they have a near key or one with as many of its parts as
    any (max_length for length), preferably in the same section.
    """
    section, _, key = name.lower().replace("-", "_").rpartition(".")
    meant = nearest(section, {each.partition(".")[0] for each in known})
    inside = [each for each in known if each.startswith(f"{meant}.")]

    def of(settings: Sequence[str], wanted: str | None) -> list[str]:
        return [each for each in settings if each.partition(".")[2] == wanted]

    def near(settings: Sequence[str]) -> list[str]:
        return of(settings, nearest(key, [each.partition(".")[2] for each in settings]))

    common = {each: len({*key.split("_")} & {*each.partition(".")[2].split("_")}) for each in inside}
    similar = [each for each in inside if common[each] == max(common.values()) > 0]
    called = [each for each in settings_called(key) if each in known]
    return of(inside, key) or of(known, key) or called or near(inside) or similar or near(known)


def one_of(names: Sequence[str]) -> str:
    """Return the names as in a sentence: a, b or c."""
    return " or ".join([*[", ".join(names[:-1])] * (len(names) > 1), *names[-1:]])


def num_edits(one: str, other: str) -> int:
    """Return the number of characters to insert, delete, replace or swap with the next (Damerau 1964)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one):
        row = [i + 1]
        for j, wanted in enumerate(other):
            row.append(min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (letter != wanted)))
            if i and j and (letter, one[i - 1]) == (other[j - 1], wanted):
                row[-1] = min(row[-1], rows[i - 1][j - 1] + 1)
        rows.append(row)
    return rows[-1][-1]
