"""From a trained model to a served one: baking, export, and checks of both."""
