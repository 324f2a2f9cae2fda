"""Copy the parts of others that the panel ships, or its tests use, out of their npm packages.

    python tests/vendored.py       fetches each package of bridge/web/vendor.json and copies

Packages are pinned by version and SHA-256 there. It runs when a version changes, never at run time.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "bridge" / "web" / "vendor.json"


def packages():
    return json.loads(TABLE.read_text(encoding="utf-8"))["packages"]


def files_of(archive, package):
    """The files to copy, by their place here; the archive must be the pinned one."""
    data = archive.read_bytes()
    if hashlib.sha256(data).hexdigest() != package["sha256"]:
        raise ValueError(f"{archive.name} is not the package that is pinned in {TABLE.name}")
    with tarfile.open(archive) as tar:
        return {
            here: tar.extractfile(f"package/{there}").read()
            for there, here in package["files"].items()
        }


def main():
    with tempfile.TemporaryDirectory() as folder:
        for package in packages():
            name = f"{package['name']}@{package['version']}"
            command = ["npm", "pack", "--silent", "--pack-destination", folder, name]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            archive = Path(folder) / f"{package['name']}-{package['version']}.tgz"
            for here, data in files_of(archive, package).items():
                path = ROOT / here
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                print(f"{name}: {here}, {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
