from .cluster_curves import curves as curves
from .cluster_effects import caterpillar as caterpillar
from .cluster_influence import influence as influence
from .cluster_proportions import cluster_check as cluster_check
from .power_curves import power as power
from .ratio_forest import forest as forest
from .style import text_alternative as text_alternative
