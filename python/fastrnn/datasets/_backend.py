"""The text of a build backend that runs nothing of the package it is asked about.

``pip download`` of a source package asks a build backend for the metadata (PEP 517). The usual
one, setuptools, would run the package's setup.py: code of a stranger, for a name and a version
that we know. This one writes these two.
"""

SOURCE = """
import os


class Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        name, version = os.environ["FASTRNN_PACKAGE"].split("==")
        folder = f"{name.replace('-', '_')}-{version}.dist-info"
        os.mkdir(os.path.join(metadata_directory, folder))
        with open(os.path.join(metadata_directory, folder, "METADATA"), "w") as file:
            file.write(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return folder


__legacy__ = Backend()
"""
