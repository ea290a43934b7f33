"""Sampling in the page's engine, compared with that of Python on the same random numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tests.helpers.engine import run_engine
from translate.config.settings import DecodeSettings
from translate.decoding.engine import SearchStep, Sentence
from translate.decoding.logit_rules import LogitRules
from translate.decoding.sampling import _draw, sample

BOS, EOS, VOCAB_SIZE, NUM_SAMPLES, NUM_SRC = 1, 2, 9, 6, 4
SAMPLE = """
const table = input.table; // next-piece logits after each piece
const stateOf = (sums) => ({
  sums, penalty: () => sums.map((sum) => sum / 100), reorder: (beams) => stateOf(beams.map((beam) => sums[beam])),
});
const step = (pieces, { sums }) => {
  const logits = matrix(pieces.length, table[0].length, Float32Array.from(pieces.flatMap((piece) => table[piece])));
  return { logits, state: stateOf(sums.map((sum, k) => sum + pieces[k])) };
};
const answers = [];
for (const { settings, forced, numbers } of input.cases) {
  const queue = [...numbers];
  randomNumbers = () => () => queue.shift();
  const [prefixes, rules] = [[], new LogitRules(input.num_src, forced, settings, input.eos)];
  const watch = async ({ prefix }) => prefixes.push(prefix);
  answers.push([await sample(step, stateOf([0]), rules, settings, input.num_samples, input.bos, watch), prefixes]);
}
return answers;
"""
COUNT = """
return input.map((seed) => {
  const random = randomNumbers(seed);
  const [single, pairs] = [Array(100).fill(0), Array(100).fill(0)];
  for (let i = 0; i < 100000; i++) single[Math.floor(100 * random())]++;
  for (let i = 0; i < 100000; i++) pairs[10 * Math.floor(10 * random()) + Math.floor(10 * random())]++;
  const firsts = Array(100).fill(0);
  for (let i = 0; i < 100000; i++) firsts[Math.floor(100 * randomNumbers((seed + i) % 2 ** 32)())]++;
  const again = randomNumbers(seed);
  return { counts: [single, pairs, firsts], sequence: Array.from({ length: 5 }, again) };
});
"""


class Sums:
    """State of the test's model: sums of the pieces read, from which the penalties come."""

    def __init__(self, sums: Tensor) -> None:
        self.sums = sums

    def penalty(self) -> Tensor:
        return self.sums / 100

    def reorder(self, beams: Tensor) -> Sums:
        return Sums(self.sums.gather(1, beams))

    def select(self, sentences: Tensor) -> Sums:
        return Sums(self.sums[sentences])


def test_a_piece_is_drawn_as_in_python_even_if_probabilities_tie() -> None:
    random = np.random.default_rng(1)
    cases = []
    for number in range(2000):
        size, ties = int(random.integers(2, 40)), number % 2 == 1
        # The logits of ties differ, so that their order is fixed, but their probabilities are equal and exact.
        logits = -1e-20 * random.permutation(size) if ties else 3 * random.normal(size=size)
        logits[1:][random.uniform(size=size - 1) < 0.2] = -np.inf
        settings = {
            "temperature": float(random.choice([0.1, 0.7, 1.0, 3.0])),
            "top_k": int(random.choice([0, 0, 1, 4, 100])),
            "top_p": float(random.choice([1.0, 0.5, 0.9, 0.25, 1e-6])),
        }
        chance = float(random.choice([0.0, 0.25, 0.5, 0.75, 1.0, 1 - 1e-9]) if ties else random.uniform())
        cases.append((logits.astype(np.float32), chance, settings))
    script = """
    return input.map(([logits, number, settings]) => {
      return draw(Float32Array.from(logits, (logit) => logit ?? -Infinity), number, settings);
    });"""
    payload = [[[x if x > -np.inf else None for x in logits.tolist()], *rest] for logits, *rest in cases]
    for (logits, chance, settings), piece in zip(cases, run_engine(script, payload), strict=True):
        divided = torch.tensor(logits)[None, None] / settings["temperature"]
        drawn = _draw(divided, torch.tensor([[chance]]), DecodeSettings(**settings))
        assert piece == int(drawn)


def test_samples_scores_and_steps_are_those_of_python() -> None:
    random = np.random.default_rng(2)
    table = random.normal(size=(VOCAB_SIZE, VOCAB_SIZE)).astype(np.float32)
    cases, expected = [], []
    for number in range(40):
        settings = DecodeSettings(
            temperature=0.8, top_k=number % 3 * 3, top_p=1 - 0.1 * (number % 4), length_penalty=number % 5 / 2,
            min_length=number % 4, max_length=number % 2 * 6, no_repeat_ngram=number % 3,
        )  # fmt: skip
        forced = [5, 3, 5][: number % 4]
        sentence = Sentence([4] * NUM_SRC + [EOS], prefix=forced)
        numbers = random.uniform(size=(1, NUM_SAMPLES, 40)).astype(np.float32)
        steps = list[SearchStep]()

        def step(pieces: Tensor, state: Sums) -> tuple[object, Sums]:
            logits = torch.tensor(table)[pieces]
            return (lambda rows: logits[rows]), Sums(state.sums + pieces)

        rules = LogitRules.of([sentence], settings, EOS, torch.device("cpu"))
        (found,) = sample(step, Sums(torch.zeros(1, 1)), rules, settings, torch.tensor(numbers), BOS, steps.append)
        expected.append((found, [each.prefix for each in steps]))
        cases.append({"settings": settings.model_dump(), "forced": forced, "numbers": numbers[0].T.ravel().tolist()})
    sizes = {"num_src": NUM_SRC, "num_samples": NUM_SAMPLES, "bos": BOS, "eos": EOS}
    answers = run_engine(SAMPLE, {"table": table.tolist(), "cases": cases, **sizes})
    assert len({tuple(each.pieces) for found, _ in expected for each in found}) > 50
    for (samples, prefixes), (found, right_prefixes) in zip(answers, expected, strict=True):
        assert [each["pieces"] for each in samples] == [each.pieces for each in found]
        assert np.allclose([each["score"] for each in samples], [each.score for each in found], atol=1e-5)
        assert prefixes == right_prefixes


def test_random_numbers_are_uniform_independent_and_a_function_of_the_seed() -> None:
    """Chi-square statistics with 99 degrees of freedom: 99 on average, above 160 once in 10,000 times."""
    answers = run_engine(COUNT, [0, 1, 2**31, 2**32 - 1])
    statistics = [
        sum((each - 1000) ** 2 / 1000 for each in counts) for answer in answers for counts in answer["counts"]
    ]
    assert max(statistics) < 160
    assert min(statistics) > 50  # numbers on a grid would be too even
    assert len({tuple(answer["sequence"]) for answer in answers}) == len(answers)
    assert run_engine(COUNT, [1])[0] == answers[1]
