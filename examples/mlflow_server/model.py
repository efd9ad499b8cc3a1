"""A SavedModel as an MLflow model: needs TensorFlow and mlflow, not keras_twoarg.

python examples/mlflow_server/model.py saved_models/two_arg/1 served
mlflow models serve -m served --env-manager local --port 5001
python3 -c 'import json; print(json.dumps({"inputs": [[[[0.0]] * 28] * 28]}))' > request.json
curl -H "Content-Type: application/json" -d @request.json http://127.0.0.1:5001/invocations
"""

import sys

import mlflow
import numpy as np
import tensorflow as tf


class Served(mlflow.pyfunc.PythonModel):
    """Check what comes in, and run the SavedModel."""

    def load_context(self, context):
        """Load the SavedModel and its signature."""
        self.run = tf.saved_model.load(context.artifacts["model"]).signatures["serving_default"]
        ((self.name, self.spec),) = self.run.structured_input_signature[1].items()

    def predict(self, context, model_input, params=None):
        """Return the model's outputs, or raise an error that the client sees."""
        if isinstance(model_input, dict) and self.name not in model_input:
            raise ValueError(f"Expected the input {self.name}. Received: {', '.join(model_input)}")
        pixels = model_input[self.name] if isinstance(model_input, dict) else model_input
        try:
            x = np.asarray(pixels, dtype=self.spec.dtype.as_numpy_dtype)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.name}: expected numbers of shape {self.spec.shape}. Received: {error}") from error
        if not self.spec.shape.is_compatible_with(x.shape):
            raise ValueError(f"{self.name}: expected shape {self.spec.shape}. Received: {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError(f"{self.name}: expected finite numbers. Received: NaN or infinity")
        return {key: value.numpy().tolist() for key, value in self.run(**{self.name: tf.constant(x)}).items()}


if __name__ == "__main__":
    mlflow.pyfunc.save_model(sys.argv[2], python_model=__file__, artifacts={"model": sys.argv[1]}, pip_requirements=[])
else:
    mlflow.models.set_model(Served())
