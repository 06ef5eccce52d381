"""An engine whose turns do what a test says, when the test says it, and the page's server over it."""

from tests.scripted.engine import Engines, ScriptedEngine
from tests.scripted.script import HOLD, Cost, End, Say, Script, Step, Tell

__all__ = ["HOLD", "Cost", "End", "Engines", "Say", "Script", "ScriptedEngine", "Step", "Tell"]
