"""What every reward shares: its SPEC, the weighted sum, shifted views."""

from maskunet.rewards.base.reward import PromptCache, Reward, RewardSpec, WeightedRewards, held_out_of, required
from maskunet.rewards.base.scorer import Scorer
from maskunet.rewards.base.views import Shift, shifted_views, shifts

__all__ = [
    "PromptCache",
    "Reward",
    "RewardSpec",
    "Scorer",
    "Shift",
    "WeightedRewards",
    "held_out_of",
    "required",
    "shifted_views",
    "shifts",
]
