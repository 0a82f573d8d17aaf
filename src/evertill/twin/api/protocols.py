"""AWS's protocols from the server's side: which operation a request asks for, and its answer.

One class per protocol that the own handlers' services speak with the installed boto3 and with the
`aws` command: JSON, query, and both REST ones. They are separate from the values (`shapes`) and
from who handles the operations (`handled`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

import msgspec
from botocore.model import OperationModel, ServiceModel

from evertill.twin.api import shapes
from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Answer, Request
from evertill.twin.api.routes import Routes

SERVER_FAULT: Final = 500
Parsed = tuple[OperationModel, dict[str, Any]]


class Protocol(ABC):
    """How a service's requests are read and its answers written."""

    def __init__(self, service: ServiceModel) -> None:
        """Speak for `service`."""
        self.service: Final = service

    @abstractmethod
    def parse(self, request: Request) -> Parsed:
        """Return the operation and its parameters; raise ApiError when there is none such."""

    @abstractmethod
    def answer(self, operation: OperationModel, result: Mapping[str, Any], call: str) -> Answer:
        """Return the answer that carries `result`; `call` is the request's id."""

    @abstractmethod
    def refuse(self, error: ApiError, call: str) -> Answer:
        """Return the answer that carries an error."""

    def _operation(self, name: str) -> OperationModel:
        if name not in self.service.operation_names:
            message = f"{self.service.service_name} has no operation {name or '(none named)'}."
            raise ApiError("InvalidAction", message)
        return self.service.operation_model(name)


class Json(Protocol):
    """`application/x-amz-json-1.x`: the operation is named by a header."""

    def parse(self, request: Request) -> Parsed:
        """Read the header and the body."""
        operation = self._operation(request.operation())
        document = _json(request.body)
        shape = operation.input_shape
        return operation, shapes.from_json(shape, document) if shape else {}

    def answer(self, operation: OperationModel, result: Mapping[str, Any], call: str) -> Answer:
        """Write the body."""
        shape = operation.output_shape
        document = shapes.to_json(shape, result) if shape else {}
        return self._written(200, document, call)

    def refuse(self, error: ApiError, call: str) -> Answer:
        """Write the error's type and message, and for old clients its code as a header."""
        document = {"__type": error.aws_code, "message": error.message}
        fault = "Receiver" if error.status >= SERVER_FAULT else "Sender"
        query = ("x-amzn-query-error", f"{error.aws_code};{fault}")
        return self._written(error.status, document, call, query)

    def _written(
        self, status: int, document: object, call: str, *headers: tuple[str, str]
    ) -> Answer:
        version = self.service.metadata.get("jsonVersion", "1.1")
        kind = ("content-type", f"application/x-amz-json-{version}")
        body = msgspec.json.encode(document)
        return Answer(
            status=status, headers=(kind, ("x-amzn-requestid", call), *headers), body=body
        )


class Query(Protocol):
    """Form fields in, XML out."""

    def parse(self, request: Request) -> Parsed:
        """Read the form."""
        operation = self._operation(request.operation())
        shape = operation.input_shape
        try:
            return operation, shapes.from_form(
                shape, shapes.form_tree(request.form())
            ) if shape else {}
        except (ValueError, KeyError, AttributeError) as error:
            raise ApiError("MalformedQueryString", f"The form cannot be read: {error}") from error

    def answer(self, operation: OperationModel, result: Mapping[str, Any], call: str) -> Answer:
        """Write the XML document with its wrapper."""
        root = ET.Element(f"{operation.name}Response", self._namespace())
        shape = operation.output_shape
        if shape:
            wrapper = shape.serialization.get("resultWrapper")
            shapes.members_to_xml(shape, result, ET.SubElement(root, wrapper) if wrapper else root)
        ET.SubElement(ET.SubElement(root, "ResponseMetadata"), "RequestId").text = call
        return _xml(200, root, call)

    def refuse(self, error: ApiError, call: str) -> Answer:
        """Write the error's document."""
        return _xml(error.status, _error(error, call, self._namespace()), call)

    def _namespace(self) -> dict[str, str]:
        namespace = self.service.metadata.get("xmlNamespace")
        if isinstance(namespace, dict):
            namespace = namespace.get("uri")
        return {"xmlns": namespace} if namespace else {}


class Rest(Protocol):
    """What both REST protocols share: parameters in the address, the query and the headers."""

    def __init__(self, service: ServiceModel) -> None:
        """Know the addresses of all operations of `service`."""
        super().__init__(service)
        self._routes = Routes(service)

    def parse(self, request: Request) -> Parsed:
        """Find the operation by its address and read what is bound to it, then the body."""
        operation, labels = self._routes.find(request.method, request.raw_path, request.query)
        shape = operation.input_shape
        if shape is None:
            return operation, {}
        parameters = _bound(shape, labels, request)
        payload = shape.serialization.get("payload")
        if payload is None:
            unbound = self._body(shape, request.body)
            bound = {n for n, m in shape.members.items() if "location" in m.serialization}
            parameters |= {name: value for name, value in unbound.items() if name not in bound}
        elif request.body:
            member = shape.members[payload]
            is_blob = member.type_name == "blob"
            parameters[payload] = request.body if is_blob else self._body(member, request.body)
        return operation, parameters

    def answer(self, operation: OperationModel, result: Mapping[str, Any], call: str) -> Answer:
        """Write headers, the status and the body, each where the model puts it."""
        shape = operation.output_shape
        headers = [("content-type", self._kind()), ("x-amzn-requestid", call)]
        status = int(operation.http.get("responseCode", 200))
        if shape is None:
            return Answer(status=status, headers=tuple(headers))
        for name, member in shape.members.items():
            place = member.serialization.get("location")
            if place == "header" and result.get(name) is not None:
                text = shapes.to_text(member, result[name])
                headers.append((shapes.wire_name(member, name), text))
            if place == "statusCode" and name in result:
                status = int(result[name])
        return Answer(status=status, headers=tuple(headers), body=self._written(shape, result))

    def _written(self, shape: Any, result: Mapping[str, Any]) -> bytes:  # noqa: ANN401 - botocore's
        payload = shape.serialization.get("payload")
        if payload is None:
            rest = {
                name: result[name]
                for name, member in shape.members.items()
                if name in result and "location" not in member.serialization
            }
            return self._encoded(shape, rest)
        content = result.get(payload, b"")
        return (
            content
            if isinstance(content, bytes)
            else self._encoded(shape.members[payload], content)
        )

    @abstractmethod
    def _kind(self) -> str: ...

    @abstractmethod
    def _body(self, shape: Any, body: bytes) -> dict[str, Any]: ...  # noqa: ANN401 - botocore's

    @abstractmethod
    def _encoded(self, shape: Any, value: Mapping[str, Any]) -> bytes: ...  # noqa: ANN401 - as above


class RestJson(Rest):
    """REST with JSON bodies, as AWS Lambda speaks it."""

    def refuse(self, error: ApiError, call: str) -> Answer:
        """Write the error's type as a header and its message as the body."""
        kind = ("x-amzn-errortype", error.aws_code)
        headers = (("content-type", self._kind()), ("x-amzn-requestid", call), kind)
        body = msgspec.json.encode({"Message": error.message, "message": error.message})
        return Answer(status=error.status, headers=headers, body=body)

    def _kind(self) -> str:
        return "application/json"

    def _body(self, shape: Any, body: bytes) -> dict[str, Any]:  # noqa: ANN401 - botocore's
        return dict(shapes.from_json(shape, _json(body)))

    def _encoded(self, shape: Any, value: Mapping[str, Any]) -> bytes:  # noqa: ANN401 - botocore's
        return msgspec.json.encode(shapes.to_json(shape, value))


class RestXml(Rest):
    """REST with XML bodies, as Route 53 speaks it."""

    def refuse(self, error: ApiError, call: str) -> Answer:
        """Write the error's document."""
        return _xml(error.status, _error(error, call, {}), call)

    def _kind(self) -> str:
        return "text/xml"

    def _body(self, shape: Any, body: bytes) -> dict[str, Any]:  # noqa: ANN401 - botocore's
        if not body:
            return {}
        try:
            # The parser of Python 3.11 and later bounds what entities expand to.
            node = ET.fromstring(body)  # noqa: S314 - from this machine, and bounded by the server
        except ET.ParseError as error:
            raise ApiError("InvalidInput", f"The body is not XML: {error}") from error
        return dict(shapes.from_xml(shape, node))

    def _encoded(self, shape: Any, value: Mapping[str, Any]) -> bytes:  # noqa: ANN401 - botocore's
        root = ET.Element(shapes.wire_name(shape, shape.name))
        shapes.members_to_xml(shape, value, root)
        return _document(root)


PROTOCOLS: Final[dict[str, type[Protocol]]] = {
    "json": Json,
    "query": Query,
    "rest-json": RestJson,
    "rest-xml": RestXml,
}


def _bound(shape: Any, labels: Mapping[str, str], request: Request) -> dict[str, Any]:  # noqa: ANN401 - botocore's
    """Return the parameters in the address, the query and the headers."""
    parameters: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire = shapes.wire_name(member, name)
        match member.serialization.get("location"):
            case "uri":
                parameters[name] = shapes.from_text(member, labels[wire])
            case "querystring" if wire in request.query:
                texts = request.query[wire]
                is_list = member.type_name == "list"
                parameters[name] = texts if is_list else shapes.from_text(member, texts[0])
            case "header" if request.header(wire.lower()):
                parameters[name] = shapes.from_text(member, request.header(wire.lower()))
    return parameters


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as error:
        raise ApiError("SerializationException", f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ApiError("SerializationException", "The body is no JSON object.")
    return document


def _error(error: ApiError, call: str, namespace: dict[str, str]) -> ET.Element:
    root = ET.Element("ErrorResponse", namespace)
    node = ET.SubElement(root, "Error")
    ET.SubElement(node, "Type").text = "Receiver" if error.status >= SERVER_FAULT else "Sender"
    ET.SubElement(node, "Code").text = error.aws_code
    ET.SubElement(node, "Message").text = error.message
    ET.SubElement(root, "RequestId").text = call
    return root


def _xml(status: int, root: ET.Element, call: str) -> Answer:
    headers = (("content-type", "text/xml"), ("x-amzn-requestid", call))
    return Answer(status=status, headers=headers, body=_document(root))


def _document(root: ET.Element) -> bytes:
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document
