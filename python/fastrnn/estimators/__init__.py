"""Estimators with scikit-learn's conventions; they need scikit-learn 1.6 or later."""

try:
    from sklearn.utils.validation import validate_data as _  # noqa: F401 (new in 1.6)
except ImportError as error:
    raise ImportError(
        "fastrnn's estimators need scikit-learn 1.6 or later: pip install 'fastrnn[sklearn]'"
    ) from error

from fastrnn.estimators.classifier import RNNClassifier
from fastrnn.estimators.forecaster import RNNForecaster
from fastrnn.estimators.regressor import RNNRegressor

__all__ = ["RNNClassifier", "RNNForecaster", "RNNRegressor"]
