"""Load an exported model in its own runtime: a path becomes a function from inputs to outputs."""


def saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda x: loaded.serve(x).numpy()


def onnx_runtime(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino(path):
    import openvino as ov

    compiled = ov.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: compiled(x)[0]


def litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))

    def run(x):
        (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(given["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return run


RUNTIMES = {"tf_saved_model": saved_model, "onnx": onnx_runtime, "openvino": openvino, "litert": litert}
