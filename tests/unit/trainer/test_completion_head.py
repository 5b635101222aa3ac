"""The output layer at the learned positions alone: the same loss and gradients as with every logit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from services.trainer.batches import IGNORED
from services.trainer.learner import learned_positions, logits_only_at
from tests.tiny_models import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return AutoModelForCausalLM.from_pretrained(make_model(tmp_path_factory.mktemp("model")))


def whole(model, ids, targets):
    logits = model(input_ids=ids).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )


def chosen(model, ids, targets):
    at, following = learned_positions(targets)
    with logits_only_at(model, at):
        logits = model(input_ids=ids).logits
    assert logits.shape == (len(at), model.config.vocab_size)
    return torch.nn.functional.cross_entropy(logits, following, reduction="sum")


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4), st.integers(0, 2**31))
def test_loss_and_gradients_are_those_of_all_logits(model, learned, seed):
    torch.manual_seed(seed)
    mask = torch.tensor(learned)
    ids = torch.randint(3, model.config.vocab_size, mask.shape)
    targets = torch.where(mask, ids, IGNORED)
    loss, expected = chosen(model, ids, targets), whole(model, ids, targets)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    found, wanted = gradients(model, loss), gradients(model, expected)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_the_first_token_is_never_predicted_and_none_across_rows():
    targets = torch.tensor([[7, IGNORED, 5], [6, 4, IGNORED]])
    at, following = learned_positions(targets)
    assert (at.tolist(), following.tolist()) == ([1, 3], [5, 4])


def test_afterwards_the_model_gives_every_logit_again(model):
    ids = torch.tensor([[3, 4, 5]])
    with logits_only_at(model, torch.tensor([1])):
        assert model(input_ids=ids).logits.shape == (1, model.config.vocab_size)
    assert model(input_ids=ids).logits.shape == (1, 3, model.config.vocab_size)
