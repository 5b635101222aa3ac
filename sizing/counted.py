"""Shapes of a model that no formula knows: its modules, as `transformers` builds them on the device `meta`.

No weight is made or read, and no code of the model's folder runs. Parameters and layers are counted exactly. The work
of attention, what is cached of a token, and the activations follow from the names and widths of the layers inside each
attention, recurrence and feed-forward module; where a name is unknown, the widths of the configuration are used.

Importing this module loads torch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from sizing.families import ShapesUnknown
from sizing.parts import Counted, Matrix
from sizing.shapes import Shapes

CHOSEN = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "moe_topk",
    "moe_top_k",
    "moe_k",
    "top_k_experts",
    "num_selected_experts",
    "top_k",
)
"""Names under which configurations give the experts of a token."""

STATES = ("ssm_state_size", "state_size", "mamba_d_state", "linear_key_head_dim", "head_dim")
"""Names under which configurations give the width of a recurrence's state per channel."""

OTHER_MEDIA = re.compile(r"vision|visual|image|img|audio|speech|vqmodel|video", re.IGNORECASE)
"""Modules that read no text."""

EXPERTS = re.compile(r"Expert(s|GLU)?$")
RECURRENT = re.compile(
    r"Mixer$|MambaLayer$|DeltaNet|DeltaAttention|LightningAttention|LinearAttention|RwkvSelfAttention|RecurrentBlock|ShortConv|LSTMLayer"
)
ONE_NUMBER = re.compile(r"Rwkv|RecurrentBlock|ShortConv")
"""Recurrences whose state is a number per channel."""
ATTENTION = re.compile(r"(Attention|Attn|MLA)(?!.*(Residual|Norm|Bias|Pool))")

QUERY = frozenset({"q_proj", "q_b_proj", "query", "query_proj", "q_lin", "Wq", "project_q", "q"})
KEY = frozenset({"k_proj", "key", "key_proj", "k_lin", "Wk", "project_k", "k"})
VALUE = frozenset({"v_proj", "value", "value_proj", "v_lin", "Wv", "project_v", "v"})
KEY_VALUE = KEY | VALUE | {"kv_proj"}
FUSED = frozenset({"qkv_proj", "c_attn", "query_key_value", "Wqkv", "qkv", "in_proj_qkv", "att_proj"})
LATENT = "kv_a_proj_with_mqa"
"""Multi-head latent attention (arXiv 2405.04434): its output is what is cached."""
OUTPUT = re.compile(r"^(o_proj|o_b_proj|out_proj|out_lin|dense|c_proj|attention_out|output|wo)$")


def shapes(config: Mapping[str, Any]) -> Shapes:
    """Shapes of a configuration. Raises `ShapesUnknown` where transformers cannot build the model."""
    kind = str(config.get("model_type"))
    if kind not in CONFIG_MAPPING:
        raise ShapesUnknown(
            f"model_type: {kind!r}; neither a formula here nor transformers knows it: update transformers, or give "
            "--shapes a card as in deploy/models"
        )
    settings = {key: value for key, value in config.items() if key not in ("quantization_config", "auto_map")}
    try:
        configuration = CONFIG_MAPPING[kind].from_dict(settings)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                configuration, dtype=torch.float32, trust_remote_code=False
            )
    except Exception as error:  # whatever a library of a hundred architectures raises for a wrong configuration
        reason = " ".join(str(error).split())[:200]
        raise ShapesUnknown(
            f"model_type: {kind!r}; transformers cannot build it from this configuration ({type(error).__name__}: "
            f"{reason}): {'install that' if isinstance(error, ImportError) else 'correct the config.json'}"
        ) from error
    return of_model(model, configuration.get_text_config(decoder=True))


def of_model(model: Any, config: Any) -> Shapes:
    """Shapes of a model on any device, with the configuration of its text part."""
    config.allow_global_per_layer_attribute_access = True  # widths are those of modules, and these only a fallback
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if not isinstance(getattr(embedding, "weight", None), torch.Tensor) or head is None:
        raise ShapesUnknown(f"model_type: {config.model_type!r}; it has no embedding or no output layer of its own")
    vocabulary, width = head.weight.shape[0], embedding.weight.shape[1]
    hidden = config.hidden_size if isinstance(getattr(config, "hidden_size", None), int) else width
    reader = _Reader(config, hidden, embedding, head)
    idle = reader.skip(part for name, part in model.named_modules() if OTHER_MEDIA.search(name))
    blocks = tuple((reader.counted(modules),) for modules in _blocks(model))
    rest = reader.counted([model])
    tables = reader.tables
    blocks = (*blocks, (rest,)) if rest.layers else blocks
    tied = head.weight is embedding.weight
    bare = Shapes(vocabulary, hidden, blocks, tied)
    total = sum(p.numel() for p in model.parameters())
    return Shapes(vocabulary, hidden, blocks, tied, beside=total - bare.total, idle=idle + tables)


def _blocks(model: nn.Module) -> Iterator[list[nn.Module]]:
    """The model's layers: the members of lists of modules outside other lists; lists side by side belong together."""
    for name, lists in _lists(model, ""):
        if OTHER_MEDIA.search(name):
            continue
        for members in zip_longest(*lists):
            yield [part for part in members if part is not None]


def _lists(module: nn.Module, path: str) -> Iterator[tuple[str, list[nn.ModuleList]]]:
    lists: dict[int, list[nn.ModuleList]] = {}
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            lists.setdefault(len(child), []).append(child)
        else:
            yield from _lists(child, f"{path}.{name}")
    yield from ((path, of_length) for of_length in lists.values())


def _attends(module: nn.Module) -> bool:
    """Whether it is an attention itself, and no wrapper of one."""
    inner = any(part is not module and ATTENTION.search(type(part).__name__) for part in module.modules())
    return not inner and any(True for _ in module.parameters())


def _of_each_expert(module: nn.Module, weight: torch.Tensor) -> torch.Tensor:
    """A weight of experts as [experts, ...]; DBRX has them below one another."""
    experts = getattr(module, "moe_num_experts", None)
    return weight.view(experts, -1, weight.shape[-1]) if isinstance(experts, int) else weight


Widths = Mapping[str, tuple[int, int]]
"""Inputs and outputs of the linear layers that a module holds, by name."""


class _Reader:
    """Visits modules once each: a module or weight that several blocks share belongs to the first."""

    def __init__(self, config: Any, hidden: int, embedding: nn.Module, head: nn.Module) -> None:
        self.config, self.hidden, self.head = config, hidden, head.weight
        self.seen = {id(weight) for part in (embedding, head) for weight in part.parameters()}
        self.tables = 0
        """Parameters of further tables of embeddings, of which a token reads a row."""
        self.visited: set[int] = set()
        """Modules that belong to a block, or that no token of a text meets."""

    def skip(self, parts: Iterable[nn.Module]) -> int:
        """Pass modules by; the number of their parameters."""
        skipped = list(parts)
        self.visited |= set(map(id, skipped))
        return sum(self._new(weight) for part in skipped for weight in part.parameters())

    def _new(self, weight: torch.Tensor) -> int:
        """Parameters of a weight, 0 where it was counted before."""
        if id(weight) in self.seen:
            return 0
        self.seen.add(id(weight))
        return weight.numel()

    def counted(self, modules: Sequence[nn.Module]) -> Counted:
        """The figures of some modules with all that is inside them."""
        block = Counted(self.hidden)
        for top in modules:
            self._visit(top, block)
        self.visited |= set(map(id, modules))
        return block

    def _visit(self, module: nn.Module, block: Counted) -> None:
        """A module's own weights, then its children, then what its layers do together."""
        if id(module) in self.visited:
            return
        self._weights(module, block)
        widths = {
            name: self._layer(child, name, block)
            for name, child in module.named_children()
            if isinstance(child, (nn.Linear, Conv1D)) and child.weight is not self.head
        }
        for child in module.children():
            self._visit(child, block)
        kind = type(module).__name__
        if RECURRENT.search(kind):
            self._recurrence(kind, widths, block)
        elif ATTENTION.search(kind) and _attends(module):
            self._attention(module, widths, block)
        elif widths:
            self._feed_forward(widths, block)

    def _weights(self, module: nn.Module, block: Counted) -> None:
        kind = type(module).__name__
        for name, weight in module.named_parameters(recurse=False):
            size = self._new(weight)
            if not size:
                continue
            if isinstance(module, nn.Embedding):
                self.tables += size
                block.loose += size
            elif isinstance(module, (nn.Linear, Conv1D)):
                if name == "bias":
                    continue  # its matrix has it
            elif EXPERTS.search(kind) and weight.ndim > 1:
                of_each = _of_each_expert(module, weight)
                block.layers.append(self._of_experts(name, of_each))
                self._routed(name, of_each, block)
            elif weight.ndim > 1 and not isinstance(module, (nn.Conv1d, nn.Conv2d)) and size > max(weight.shape):
                outputs = weight.shape[0]
                block.layers.append(Matrix(name, size // outputs, outputs, linear=False))
            else:
                block.loose += size
        if isinstance(module, nn.Conv1d):
            block.window += module.out_channels * module.kernel_size[0]
        if "Norm" in kind and any(weight.numel() == self.hidden for weight in module.parameters(recurse=False)):
            block.norms += self.hidden

    def _of_experts(self, name: str, weight: torch.Tensor) -> Matrix:
        """The weight of all experts: [experts, ...], or a bias [experts, outputs]."""
        experts, outputs = weight.shape[0], weight.shape[1] if weight.ndim > 2 else 1
        used = min(self._chosen(), experts)
        each = weight.numel() // experts
        return Matrix(name, each // outputs, outputs, copies=experts, used=used, linear=False)

    def _chosen(self) -> int:
        places = (self.config, getattr(self.config, "ffn_config", None))
        for value in (getattr(place, name, None) for place in places for name in CHOSEN):
            if isinstance(value, (list, tuple)) and value:
                return max(map(int, value))
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        raise ShapesUnknown(
            f"num_experts_per_tok: missing in the configuration of a {self.config.model_type} model; add it"
        )

    def _routed(self, name: str, weight: torch.Tensor, block: Counted) -> None:
        """What the experts of a token keep: twice their insides, and twice their outputs for the router."""
        if weight.ndim < 3 or "bias" in name:
            return
        inside = 0 if name.startswith("down") else weight[0].numel() // min(self.hidden, weight[0].numel())
        block.routed += 2 * min(self._chosen(), weight.shape[0]) * (inside or self.hidden)

    def _layer(self, layer: nn.Module, name: str, block: Counted) -> tuple[int, int]:
        """Add a linear layer's matrix, without parameters where another block has it, too; its inputs and outputs."""
        rows, columns = layer.weight.shape  # type: ignore[misc]
        outputs, inputs = (columns, rows) if isinstance(layer, Conv1D) else (rows, columns)
        bias = getattr(layer, "bias", None) is not None
        copies = 0 if id(layer.weight) in self.seen else 1
        block.layers.append(Matrix(name, inputs, outputs, bias, copies, linear=isinstance(layer, nn.Linear)))
        return inputs, outputs

    def _attention(self, module: nn.Module, widths: Widths, block: Counted) -> None:
        output = next((name for name in widths if OUTPUT.match(name)), None)
        heads, head = self._heads()
        queries = widths[output][0] if output else heads * head
        if LATENT in widths:
            keys = widths[LATENT][1]
        elif fused := [name for name in widths if name in FUSED]:
            keys = max(0, widths[fused[0]][1] - queries)
        elif KEY_VALUE & widths.keys():
            keys = sum(outputs for name, (_, outputs) in widths.items() if name in KEY_VALUE)
        elif QUERY & widths.keys():
            keys = 0  # it attends to the keys of another layer
        else:
            keys = 2 * (getattr(self.config, "num_key_value_heads", None) or heads) * head
        block.queries += queries
        block.keys += keys
        block.heads += heads
        for name, child in module.named_children():
            if "Norm" in type(child).__name__ and (weight := getattr(child, "weight", None)) is not None:
                per_head = weight.numel() != self.hidden and name[:1] in "qk"
                block.norms += (queries if name.startswith("q") else keys // 2) if per_head else 0
        self._group({name: width for name, (width, _) in widths.items() if name != output}, block)
        if output:
            block.outputs.append((queries, (output,)))

    def _recurrence(self, kind: str, widths: Widths, block: Counted) -> None:
        """State and activations of a scan, whose inside is recomputed."""
        output = next((name for name in widths if OUTPUT.match(name)), None)
        inner = widths[output][0] if output else self.hidden
        state = next((v for name in STATES if isinstance(v := getattr(self.config, name, None), int)), 1)
        block.state += inner * (1 if ONE_NUMBER.search(kind) else state)
        block.inside += inner + sum(outputs for name, (_, outputs) in widths.items() if name != output)
        self._group({name: width for name, (width, _) in widths.items()}, block)

    def _feed_forward(self, widths: Widths, block: Counted) -> None:
        """Layers into the inside keep their outputs and, where a gate multiplies, the product."""
        into = sum(outputs for inputs, outputs in widths.values() if inputs == self.hidden and outputs != self.hidden)
        out = max((inputs for inputs, outputs in widths.values() if outputs == self.hidden != inputs), default=0)
        block.inside += into + max(0, into - out if out else 0)
        self._group({name: width for name, (width, _) in widths.items()}, block)

    def _heads(self) -> tuple[int, int]:
        heads = getattr(self.config, "num_attention_heads", None)
        heads = heads if isinstance(heads, int) and heads else 1
        head = getattr(self.config, "head_dim", None)
        return heads, head if isinstance(head, int) and head else self.hidden // heads

    def _group(self, widths: Mapping[str, int], block: Counted) -> None:
        """Layers of a module with inputs of one width read one input."""
        for width in Counter(widths.values()):
            block.inputs.append((width, tuple(name for name, inputs in widths.items() if inputs == width)))
