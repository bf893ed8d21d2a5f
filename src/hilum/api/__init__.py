"""The Python API: the words of the command line as functions, each of which calls the workflow of its command.

`hilum.__all__` lists what is public.
"""

from hilum.api.answers import *
from hilum.api.classifier import *
from hilum.api.client import *
from hilum.api.jobs import *
from hilum.api.model_jobs import *
from hilum.api.model_results import *
from hilum.api.results import *
