"""shared_config.yaml and the environment -> one frozen Settings, read once.

A field is set, in rising order of precedence, by its default in sections.py, by the file, or by
`WORDTELL_<SECTION>__<FIELD>` (bento/sources.py says how each is read). The file is the one that `WORDTELL_CONFIG`
names, else shared_config.yaml beside service.py, else none. An unknown key is an error in both.
A relative path is relative to the file that names it, or to the working directory when the environment does.

A model folder that is mounted at /mnt/models, where KServe puts it, or the only one a level below, is served instead of
one that lies beside the code, unless the environment names `model.checkpoint_dir`.
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
