"""Write the panel's types of the HTTP API, and check its scripts against them.

    python -m tests.api_types         writes api-types.d.ts from the OpenAPI document
    python -m tests.api_types check   and has TypeScript check the panel (`make types`)

TypeScript comes out of npm, pinned here, into a temporary folder; the panel itself needs neither.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from bridge.http import app, openapi
from tests.vendored import ROOT, packages

PANEL = ROOT / "bridge" / "web" / "panel"
FILE = PANEL / "api-types.d.ts"
TYPESCRIPT = "5.9.3"
HEAD = "// Made by tests/api_types.py from the OpenAPI document; test_http_openapi.py compares.\n"
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean",
         "null": "null"}  # fmt: skip
# What declares the types of each vendored script, in its npm package.
DECLARED = {
    "preact-htm": 'export * from "htm/preact";',
    "wavesurfer/wavesurfer.esm": 'export { default } from "wavesurfer.js";',
    "wavesurfer/regions.esm": 'export { default } from "wavesurfer.js/dist/plugins/regions.js";',
}
OPTIONS = {"allowJs": True, "checkJs": True, "noEmit": True, "target": "es2022", "types": [],
           "module": "esnext", "moduleResolution": "bundler", "skipLibCheck": True,
           "lib": ["es2022", "dom", "dom.iterable"]}  # fmt: skip


def document():
    return openapi.document([(e.method, e.path, e.summary) for e in app.ENDPOINTS])


def declarations(document):
    """The models of the document as interfaces, and what each address takes and answers."""
    schemas = document["components"]["schemas"]
    parts = [HEAD, *(interface(name, schemas[name]) for name in sorted(schemas))]
    paths = document["paths"]
    body = paths["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    events = paths["/v1/jobs/{id}/events"]["get"]["responses"]["2XX"]["content"]
    parts.append(f"export type JobBody = {kind(body)};\n")
    parts.append(f"export type JobEvent = {kind(events['text/event-stream']['schema'])};\n")
    parts.append(calls(document, "Get", "get"))
    parts.append(calls(document, "Send", "post", "put", "patch", "delete"))
    return "\n".join(parts)


def interface(name, schema):
    """One model; its docstring's first sentence stands above it."""
    said = schema.get("description", "").partition("\n\n")[0].replace("\n", " ")
    above = f"/** {said} */\n" if said else ""
    return f"{above}export interface {name} {members(schema)}\n"


def members(schema):
    required = schema.get("required", ())
    rows = [
        f"{key}{'' if key in required else '?'}: {kind(each)};"
        for key, each in schema["properties"].items()
    ]
    return "{\n" + textwrap.indent("\n".join(rows), "  ") + "\n}"


def kind(schema):
    """The type of a value."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " | ".join(dict.fromkeys(kind(each) for each in schema[choice]))
    if schema.get("type") == "array":
        return f"Array<{kind(schema['items'])}>" if "items" in schema else "any[]"
    if schema.get("type") == "object":
        if "properties" in schema:
            return members(schema)
        values = schema.get("additionalProperties")
        return f"Record<string, {kind(values) if isinstance(values, dict) else 'any'}>"
    return PLAIN.get(schema.get("type"), "any")


def calls(document, name, *methods):
    """A function of a path (and a body) for each address with JSON, the longest path first."""
    rows = [
        (path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in methods
    ]
    rows.sort(key=lambda row: (-row[0].count("/"), "{" in row[0].rpartition("/")[2], row[0]))
    lines = [call(*row) for row in rows]
    lines += ["(path: string): Promise<any>; // a file of a result"] if name == "Get" else []
    body = textwrap.indent("\n".join(filter(None, lines)), "  ")
    return f"/** What is answered, by address. */\nexport interface {name} {{\n{body}\n}}\n"


def call(path, method, operation):
    """One overload; none for what is asked for in other ways: streams, files, uploads."""
    contents = [part.get("content") for part in (
        operation["responses"]["2XX"], operation.get("requestBody", {}))]  # fmt: skip
    answered, asked = (content and content.get("application/json") for content in contents)
    if (contents[0] and not answered) or (contents[1] and not asked):
        return ""
    place = literal(path)
    if any(each["in"] == "query" for each in operation["parameters"]):
        place += f" | `{path}?${{string}}`"
    answer = kind(answered["schema"]) if answered else "null"
    if method == "get":
        return f"(path: {place}): Promise<{answer}>;" if answered else ""
    body = f"body: {kind(asked['schema'])}" if asked else "body?: undefined"
    return (f"(method: {json.dumps(method.upper())}, path: {place}, {body}, "
            f"headers?: Record<string, string>): Promise<{answer}>;")  # fmt: skip


def literal(path):
    """A path as a type: any text in the place of a name."""
    if "{" not in path:
        return json.dumps(path)
    return "`" + re.sub(r"{\w+}", "${string}", path) + "`"


def check(folder):
    """Have TypeScript check a copy of the panel in `folder`; its exit code."""
    versions = {each["name"]: each["version"] for each in packages()}
    wanted = [f"{name}@{versions[name]}" for name in ("preact", "htm", "wavesurfer.js")]
    command = ["npm", "install", "--no-save", "--silent", "--ignore-scripts"]
    subprocess.run([*command, f"typescript@{TYPESCRIPT}", *wanted], cwd=folder, check=True)
    shutil.copytree(PANEL, folder / "panel", ignore=shutil.ignore_patterns("vendor"))
    for name, line in DECLARED.items():
        declared = folder / "panel" / "vendor" / f"{name}.d.ts"
        declared.parent.mkdir(parents=True, exist_ok=True)
        declared.write_text(line + "\n", encoding="utf-8")
    settings = {"compilerOptions": OPTIONS, "include": ["panel"]}
    (folder / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    return subprocess.run(["node_modules/.bin/tsc"], cwd=folder, check=False).returncode


def main():
    FILE.write_text(declarations(document()), encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}")
    if sys.argv[1:] != ["check"]:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return check(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
