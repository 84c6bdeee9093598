"""`karais rebuild`: memory made anew from the storage and the logs, compared, and switched to.

``rebuilding``   the steps
``private_bus``  what runs beside the KARAIS in use meanwhile
``comparison``   whether the two agree
``switching``    the exchange of the two
"""

from ops.rebuild.progress import Progress
from ops.rebuild.rebuilding import Rebuilt, rebuild

__all__ = ["Progress", "Rebuilt", "rebuild"]
