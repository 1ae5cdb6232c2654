"""What an ONNX file holds, read from its bytes, and whether it can be a generator.

An ONNX file is a protocol buffer. ONNX Runtime would run whatever is in it: loops without an end, functions, tensors that are read from
other files. This reader needs neither the package `onnx` nor ONNX Runtime. It knows exactly the messages that lead to operators and
tensors, and refuses every encoding that a serialiser does not write, so that nothing can be hidden from it. Tensor data is stepped over by
its length.
"""

from __future__ import annotations

from collections.abc import Iterator

from tsmgan.errors import ModelError

DOMAINS = frozenset({"", "ai.onnx"})
"""Names of ONNX's own set of operators. Those of other sets are not run."""
OPERATORS = frozenset(
    # Arithmetic of single values
    "Abs Add And Cast Clip Div Equal Erf Exp Gelu Greater Less Log Max Min Mul Neg Not Pow Relu Sigmoid Sqrt Sub Tanh Where "
    # Layers, means, and rounding to eight bits
    "AveragePool Conv DequantizeLinear Gemm LayerNormalization MatMul QuantizeLinear ReduceMean ReduceSum "
    # Constants and shapes
    "Concat Constant ConstantOfShape Expand Gather Identity Reshape Shape Slice Split Squeeze Transpose Unsqueeze".split()
)
"""What a generator is made of, in each precision. None of them repeats or chooses other operators, opens a file, or draws at random."""
LARGEST_FIELDS = 300_000
"""Fields that are read of a file, at most; the largest generator has a tenth of them. It bounds the time that a check takes."""

# Numbers of the fields that are looked at (onnx/onnx.proto), by message.
_MODEL_GRAPH, _MODEL_METADATA, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 14, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = 5, 6, 10, 11, (22, 23)
_TENSOR_EXTERNAL_DATA, _TENSOR_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Reader:
    """Fields of the messages in a buffer. Raises ValueError for what a serialiser does not write."""

    def __init__(self, content: bytes) -> None:
        self._content, self._left = content, LARGEST_FIELDS

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """(number, wire type, start, end) of the fields of the message in [start, end); start and end are those of the field's value."""
        content = self._content
        while start < end:
            self._left -= 1
            if self._left < 0:
                raise ValueError("it has more fields than any generator")
            tag, start = self._varint(start, end)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise ValueError("a field has no valid number")
            if wire == _BYTES:
                if start < end and content[start] < 0x80:  # nearly all lengths
                    length, start = content[start], start + 1
                else:
                    length, start = self._varint(start, end)
                stop = start + length
            elif wire == _VARINT:
                stop = self._varint(start, end)[1]
            elif wire in (_FIXED32, _FIXED64):
                stop = start + (4 if wire == _FIXED32 else 8)
            else:
                raise ValueError(f"a field has the wire type {wire}")
            if stop > end:
                raise ValueError("a field is longer than the message around it")
            yield number, wire, start, stop
            start = stop

    def messages(self, start: int, end: int, wanted: frozenset[int]) -> Iterator[tuple[int, int, int]]:
        """(number, start, end) of the fields whose number is wanted. They hold messages or text, so they must have that wire type."""
        for number, wire, first, last in self.fields(start, end):
            if number in wanted:
                if wire != _BYTES:
                    raise ValueError(f"field {number} has the wire type {wire}")
                yield number, first, last

    def text(self, start: int, end: int) -> str:
        return self._content[start:end].decode()

    def is_zero(self, start: int, end: int) -> bool:
        return self._content[start:end] == b"\0"

    def _varint(self, start: int, end: int) -> tuple[int, int]:
        """The number at start, and where the next thing stands. Numbers that are padded to be longer are refused."""
        value = shift = 0
        while start < end and shift < 70:
            byte = self._content[start]
            start += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or value >= 1 << 64:
                    break
                return value, start
            shift += 7
        raise ValueError("a number in it is not encoded as a serialiser does it")


def read_metadata(content: bytes) -> dict[str, str]:
    """The metadata of an ONNX file, by key.

    Raises:
        ModelError: content is no ONNX file.
    """
    reader, found = _Reader(content), {}
    try:
        for _, start, end in reader.messages(0, len(content), frozenset({_MODEL_METADATA})):
            entry = dict.fromkeys((_ENTRY_KEY, _ENTRY_VALUE), "")
            entry |= {number: reader.text(*place) for number, *place in reader.messages(start, end, frozenset(entry))}
            found[entry[_ENTRY_KEY]] = entry[_ENTRY_VALUE]
    except ValueError as error:
        raise ModelError(f"It is damaged or no ONNX file: {error}.") from error
    return found


def require_generator(content: bytes) -> None:
    """Check that an ONNX file holds nothing but a generator's operators and the tensors that they need.

    Raises:
        ModelError: content is no ONNX file, or it holds an operator that is not one of OPERATORS, a graph within a graph, a function, or a
            tensor that is stored in another file.
    """
    try:
        _check_model(_Reader(content), 0, len(content))
    except ValueError as error:
        raise ModelError(f"It is damaged or no ONNX file: {error}.") from error


def _check_model(reader: _Reader, start: int, end: int) -> None:
    wanted = frozenset({_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS})
    graphs = 0
    for number, first, last in reader.messages(start, end, wanted):
        if number != _MODEL_GRAPH:
            raise ModelError("It defines functions or training steps, which no generator has.")
        _check_graph(reader, first, last)
        graphs += 1
    if not graphs:
        raise ValueError("it has no graph")


def _check_graph(reader: _Reader, start: int, end: int) -> None:
    for number, first, last in reader.messages(start, end, frozenset({_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE})):
        if number == _GRAPH_NODE:
            _check_node(reader, first, last)
        elif number == _GRAPH_INITIALIZER:
            _check_tensor(reader, first, last)
        else:
            raise ModelError("It holds sparse tensors, which no generator has.")


def _check_node(reader: _Reader, start: int, end: int) -> None:
    kind = domain = ""
    for number, first, last in reader.messages(start, end, frozenset({_NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN})):
        if number == _NODE_TYPE:
            kind = reader.text(first, last)
        elif number == _NODE_DOMAIN:
            domain = reader.text(first, last)
        else:
            _check_attribute(reader, first, last)
    if kind not in OPERATORS or domain not in DOMAINS:
        name = f"{domain}.{kind}" if domain else kind
        raise ModelError(f"It asks for the operator {name[:80]!r}, which no generator needs and which is not run.")


def _check_attribute(reader: _Reader, start: int, end: int) -> None:
    tensors, others = (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS), (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS, *_ATTRIBUTE_SPARSE)
    for number, first, last in reader.messages(start, end, frozenset({*tensors, *others})):
        if number in others:
            raise ModelError("It holds a graph or a sparse tensor inside an operator, which no generator has.")
        _check_tensor(reader, first, last)


def _check_tensor(reader: _Reader, start: int, end: int) -> None:
    for number, _, first, last in reader.fields(start, end):
        # The quantiser writes the location 0, which is the file itself.
        if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_LOCATION and not reader.is_zero(first, last)):
            raise ModelError("It keeps tensors in another file, which is not opened.")
