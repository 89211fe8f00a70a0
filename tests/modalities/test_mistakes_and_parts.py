"""What a test records of mistakes, and what the nodes of drawings cost."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from archwright.components import space_class
from archwright.data.text import TextData
from archwright.modalities import modality
from archwright.modalities.mistakes import confused, data_uri, most_confident
from archwright.nets.network import without_auxiliary
from archwright.pages.shown import hover, nodes_table
from archwright.space import Open, Task, TextTask, sample
from archwright.training.measure import multiply_adds, parameters
from archwright.training.parts import parts_of_image, parts_of_token
from archwright.training.perplexity import evaluate_perplexity
from small_images import noise_data

TASK = Task(3, 16, 16, 10)
SMALL = {
    "enas-micro": {"nodes": 3, "filters": 8, "repeats": 1},
    "nasnet": {"blocks": 2, "filters": 8, "repeats": 1},
    "darts": {"nodes": 2, "filters": 8, "repeats": 1},
    "enas-macro": {"layers": 4, "filters": 8},
    "nas-bench-201": {"filters": 8, "repeats": 1},
    "nas-conv": {"layers": 3, "first_layers": 3},
    "stages": {"widths": (8, 16), "blocks": (1, 2)},
}


@pytest.mark.parametrize("name", SMALL)
def test_nodes_of_a_drawing_cost_what_their_modules_cost(name: str) -> None:
    space = space_class(name)(**SMALL[name]).final(**SMALL[name])
    architecture = sample(space, 5)
    network = without_auxiliary(space.network(Open.only(space, architecture), TASK)).eval()
    parts = parts_of_image(network, network.drawn(), TASK)
    graphs = space.graphs(architecture)
    titled = {(part.graph, part.node) for part in parts}
    shown = {(graph.title.replace(",", " ").split(" ")[0], node.name) for graph in graphs for node in graph.nodes}
    operations = {
        (graph.title.replace(",", " ").split(" ")[0], n.name)
        for graph in graphs
        for n in graph.nodes
        if n.kind == "operation" and n.name != "pool"  # that is no module
    }
    assert operations <= titled
    assert len(titled & shown) > 1
    own = [part for part in parts if not part.whole]
    assert 0 < sum(part.parameters for part in own) <= parameters(network)
    assert 0 < sum(part.multiply_adds for part in own) <= multiply_adds(network, TASK)
    for part in own:
        assert part.times == len(part.shapes)
    said = hover(graphs, [asdict(part) for part in parts])
    assert sum("multiply-adds" in words for words in said.values()) >= len(operations)
    assert any(rows for _, rows in nodes_table(graphs, [asdict(part) for part in parts]))


@pytest.mark.parametrize("name", ["enas-recurrent", "nas-recurrent", "darts-recurrent", "recurrent"])
def test_nodes_of_a_cell_have_its_weights(name: str) -> None:
    space = space_class(name)()
    architecture = sample(space, 2)
    with torch.device("meta"):
        network = space.network(Open.only(space, architecture), TextTask(50))
    parts = parts_of_token(network.drawn())
    nodes = {node.name for graph in space.graphs(architecture) for node in graph.nodes}
    cells = [part for part in parts if part.graph == "recurrent" and part.node in nodes]
    layers = [part for part in parts if part.graph == "network" and part.node.isdecimal()]
    if cells:
        assert sum(part.parameters for part in cells) == sum(part.parameters for part in layers)
    else:
        assert name == "recurrent"  # an LSTM or a GRU has no drawing of its inside


def test_a_test_keeps_what_is_confused_and_what_was_sure_and_wrong() -> None:
    data = noise_data()
    kind = modality(data)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(data.test.x[0].numel(), len(data.classes)))
    network.bias = None  # a module with parameters
    record = kind.test(network, None, "cpu")  # type: ignore[arg-type]
    mistakes = kind.mistakes(record)
    wrong = record["correct"].count("0")
    assert sum(count for *_, count in mistakes.confused) == wrong
    assert sum(mistakes.right) == record["correct"].count("1")
    assert len(mistakes.worst) == min(24, wrong)
    sure = [mistake.confidence for mistake in mistakes.worst]
    assert sure == sorted(sure, reverse=True)
    assert all(mistake.picture.startswith("data:image/png;base64,") for mistake in mistakes.worst)
    assert kind.mistakes({"correct": record["correct"]}).worst == ()


def test_the_surest_come_first_and_equal_ones_by_place() -> None:
    predicted, truth = torch.tensor([1, 1, 0, 2]), torch.tensor([0, 1, 1, 0])
    found = most_confident(predicted, truth, torch.tensor([0.5, 0.9, 0.7, 0.5]))
    assert [(place, said) for place, said, _ in found] == [(2, 0), (0, 1), (3, 2)]
    assert confused(predicted, truth) == [(0, 1, 1), (0, 2, 1), (1, 0, 1)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 200, 100), (5, 4, 4)])
def test_any_image_is_a_picture(shape: tuple[int, ...]) -> None:
    assert data_uri(torch.rand(shape)).startswith("data:image/png;base64,")
    assert data_uri(torch.zeros(shape, dtype=torch.uint8)).startswith("data:image/png;base64,")


class Repeats:
    """Predicts the token that it reads, with certainty that grows with its number."""

    training = False

    def eval(self) -> None: ...

    def train(self, mode: bool) -> None: ...

    def start(self, batch: int) -> tuple[()]:
        return ()

    def __call__(self, tokens: torch.Tensor, states: tuple[()]) -> tuple[torch.Tensor, tuple[()]]:
        return torch.nn.functional.one_hot(tokens, 7) * (1.0 + tokens[..., None]), states


def test_answers_of_text_are_where_they_belong() -> None:
    text = torch.randint(0, 7, (83,), generator=torch.Generator().manual_seed(0))
    score = evaluate_perplexity(Repeats(), text, length=5, answers=True)
    assert score.answers is not None
    places, predicted, confidence = score.answers
    assert len(places) == len(score.losses)
    assert torch.equal(predicted, text[places - 1])  # it repeats what stands before
    right = predicted == text[places]
    assert torch.allclose(score.losses[right], -confidence[right].log(), atol=1e-5)
    words = tuple("abcdefg")
    data = TextData(text, text, text, words, "words", "letters", "all")
    shown = modality(data).mistakes({"worst": [(9, 3, 0.5)]})
    assert shown.worst[0].text == " ".join(words[token] for token in text[:9])
    assert (shown.worst[0].truth, shown.worst[0].said) == (words[int(text[9])], "d")
