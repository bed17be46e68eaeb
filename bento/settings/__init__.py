"""Loads the settings from shared_config.yaml and the environment into one frozen `Settings`.

The value of a setting is that of the variable `WORDTELL_<SECTION>__<FIELD>`, else that of the file, else the default in
sections.py; bento/sources.py says how both are read. The file is the one that `WORDTELL_CONFIG` names, else
shared_config.yaml beside service.py, else none. An unknown key is an error in both. A relative path is relative to the
file that names it, or, in the environment, to the working directory.

If a model folder is mounted at /mnt/models (where KServe puts it), or if /mnt/models has exactly one model folder, it
is served instead of the model folder in models/, unless the environment names `model.checkpoint_dir`.
"""

from bento.settings.loading import MOUNT, Loaded, Origin, load, pin
from bento.settings.sections import (
    ROOT,
    ApiSettings,
    CpuSettings,
    JobsSettings,
    LogSettings,
    ModelSettings,
    Settings,
    fields,
)
from bento.sources import CONFIG_VARIABLE, ISA_VARIABLE, variable

__all__ = [
    "CONFIG_VARIABLE",
    "ISA_VARIABLE",
    "MOUNT",
    "ROOT",
    "ApiSettings",
    "CpuSettings",
    "JobsSettings",
    "Loaded",
    "LogSettings",
    "ModelSettings",
    "Origin",
    "Settings",
    "fields",
    "load",
    "pin",
    "variable",
]
