use bytes::Bytes;
use prost::Message;

use super::builder::{GraphBuilder, int_attribute, ints_attribute};
use super::proto::tensor_proto::DataType;
use super::proto::{NodeProto, OperatorSetIdProto, TensorProto};
use super::{Element, NodeChange, NotOnnx, OnnxModel, OperatorName};

/// Two nodes, one constant, and an integer attribute that is 0.
fn two_nodes() -> OnnxModel {
    let mut graph = GraphBuilder::new("two");
    let x = graph.input("x", Element::Uint8, &[1, 2, 2], "in");
    let w = graph.constant("w", &[2, 1, 1, 1], &[1.0, -2.5]);
    let window = [ints_attribute("kernel_shape", &[1, 1]), ints_attribute("strides", &[2, 2])];
    let conv = graph.node("Conv", "conv", &[&x, &w], window);
    let softmax = graph.node("Softmax", "softmax", &[&conv], [int_attribute("axis", 0)]);
    graph.output("y", &softmax, &[2, 1, 1], "out");
    graph.finish("a doc", &[("key".to_owned(), "value".to_owned())])
}

/// A chain `x → a → b` with the outputs `a` and `b`, and a constant that only `b` reads.
fn two_ends() -> OnnxModel {
    let mut graph = GraphBuilder::new("ends");
    let x = graph.input("x", Element::Float, &[1], "");
    let a = graph.node("Relu", "first", &[&x], []);
    let c = graph.constant("c", &[1], &[2.0]);
    let b = graph.node("Mul", "second", &[&a, &c], []);
    graph.output("a", &a, &[1], "");
    graph.output("b", &b, &[1], "");
    graph.finish("", &[])
}

/// The expected bytes were written by the onnx package 1.23: `helper.make_graph(…).SerializeToString()`.
#[test]
fn a_graph_has_the_bytes_that_the_onnx_package_writes() {
    let expected = b"\
        \nA\n\x01x\n\x01w\x12\x04conv\x1a\x04conv\"\x04Conv\
        *\x15\n\x0ckernel_shape@\x01@\x01\xa0\x01\x07*\x10\n\x07strides@\x02@\x02\xa0\x01\x07\
        \n(\n\x04conv\x12\x01y\x1a\x07softmax\"\x07Softmax*\x0b\n\x04axis\x18\x00\xa0\x01\x02\
        \x12\x03two\
        *\x17\x08\x02\x08\x01\x08\x01\x08\x01\x10\x01B\x01wJ\x08\x00\x00\x80?\x00\x00 \xc0\
        Z \n\x01x\x12\x17\n\x15\x08\x02\x12\x11\n\x03\x12\x01N\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08\x02\x1a\x02in\
        b!\n\x01y\x12\x17\n\x15\x08\x01\x12\x11\n\x03\x12\x01N\n\x02\x08\x02\n\x02\x08\x01\n\x02\x08\x01\x1a\x03out";
    let written = two_nodes().graph().encode_to_vec();
    assert_eq!(Bytes::from(written), Bytes::from_static(expected));
}

#[test]
fn a_model_is_read_as_it_was_written() {
    let model = two_nodes();
    assert_eq!(OnnxModel::from_bytes(&model.to_bytes()[..]), Ok(model));
}

#[test]
fn a_model_of_another_program_is_written_as_it_was_read() {
    let file = include_bytes!("../../tests/data/onnx/exported.onnx");
    let model = OnnxModel::from_bytes(&file[..]).unwrap();
    assert!(!model.graph().value_info.is_empty() && model.has_external_data());
    assert!(model.to_bytes() == file);
}

#[test]
fn inserted_weights_share_the_memory_of_their_file() {
    let file = include_bytes!("../../tests/data/onnx/exported.onnx");
    let weights = Bytes::from_static(include_bytes!("../../tests/data/onnx/exported.onnx.data"));
    let read = |_: &str| Ok::<_, std::convert::Infallible>(weights.clone());
    let model = OnnxModel::from_bytes(&file[..]).unwrap().with_data_inside(read).unwrap();
    assert!(!model.has_external_data());
    let mut sizes = model.float_weights().map(TensorProto::raw_data);
    assert!(sizes.any(|data| weights.as_ptr_range().contains(&data.as_ptr())));
}

#[test]
fn weights_are_not_copied_when_a_model_is_read_from_shared_bytes() {
    let file = Bytes::from(two_nodes().to_bytes());
    let model = OnnxModel::from_bytes(file.clone()).unwrap();
    assert!(file.as_ptr_range().contains(&model.graph().initializer[0].raw_data().as_ptr()));
}

#[test]
fn other_bytes_are_not_a_model() {
    let file = two_nodes().to_bytes();
    assert_eq!(OnnxModel::from_bytes(&[][..]), Err(NotOnnx::NoNodes));
    for bytes in [&file[..file.len() / 2], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"] {
        assert!(matches!(OnnxModel::from_bytes(bytes), Err(NotOnnx::Protobuf { .. })));
    }
}

#[test]
fn setting_a_metadata_key_replaces_its_value() {
    let mut model = two_nodes();
    model.set_metadata("key", "new");
    model.set_metadata("other", "ü");
    assert_eq!(model.metadata("key"), Some("new"));
    assert_eq!(model.metadata("none"), None);
    assert_eq!(model.all_metadata().collect::<Vec<_>>(), [("key", "new"), ("other", "ü")]);
}

#[test]
fn nodes_that_no_kept_output_needs_are_removed() {
    let model = two_ends();
    assert_eq!(model.outputs().collect::<Vec<_>>(), ["a", "b"]);
    let all = model.clone().keep_outputs(&["b", "a"]);
    assert_eq!(all, model);

    let first = model.keep_outputs(&["a"]);
    assert_eq!(first.outputs().collect::<Vec<_>>(), ["a"]);
    assert_eq!(first.inputs().collect::<Vec<_>>(), ["x"]);
    let nodes: Vec<_> = first.graph().node.iter().map(NodeProto::name).collect();
    assert_eq!(nodes, ["first"]);
    assert_eq!(first.graph().initializer, []);
}

#[test]
fn nodes_are_replaced_with_their_constants_and_all_else_stays() {
    let model = two_nodes();
    let conv = OperatorName { domain: "", name: "Conv" };
    let own = OperatorName { domain: "own", name: "FastConv" };
    let replaced = model.change_nodes(own, |node| {
        if !conv.is_of(node) {
            return NodeChange::Keep;
        }
        let input = vec![node.input[0].clone()];
        NodeChange::Replace(NodeProto { input, ..NodeProto::default() }.into())
    });
    let (old, new) = (&model.graph().node[0], &replaced.graph().node[0]);
    assert_eq!((new.domain(), new.op_type(), new.name()), ("own", "FastConv", old.name()));
    assert_eq!((&*new.input, &new.output), (&old.input[..1], &old.output));
    assert_eq!(replaced.graph().node[1..], model.graph().node[1..]);
    let mut left = model.graph().initializer.clone();
    left.retain(|constant| !old.input.iter().any(|input| input == constant.name()));
    assert_eq!(replaced.graph().initializer, left);
    let set = OperatorSetIdProto { domain: Some("own".to_owned()), version: Some(1) };
    assert_eq!(replaced.proto.opset_import.last(), Some(&set));

    let mut unchanged = model.change_nodes(own, |_| NodeChange::Keep);
    unchanged.proto.opset_import.pop();
    assert_eq!(unchanged, model);
    let mut removed = model.change_nodes(own, |_| NodeChange::Remove);
    assert_eq!(removed.graph_mut().node, []);
    assert_eq!(removed.graph_mut().initializer, []);
}

#[test]
fn values_that_are_read_once_are_known() {
    let node = |inputs: &[&str], output: &str| NodeProto {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let mut model = two_ends();
    let graph = model.graph_mut();
    graph.node = vec![node(&["x"], "y"), node(&["y", "y"], "z"), node(&["x", "z", "a"], "b")];
    assert_eq!(model.read_once(), ["z"].into());
}

#[test]
fn elements_are_read_as_bytes_and_as_numbers() {
    let tensor = |data_type: DataType, raw: Option<&'static [u8]>| TensorProto {
        data_type: Some(data_type as i32),
        raw_data: raw.map(Into::into),
        int32_data: vec![7, -7],
        float_data: vec![0.5],
        ..TensorProto::default()
    };
    assert_eq!(tensor(DataType::Int8, Some(&[255, 1])).to_ints(), Some(vec![-1, 1]));
    assert_eq!(tensor(DataType::Uint8, Some(&[255, 1])).to_ints(), Some(vec![255, 1]));
    assert_eq!(tensor(DataType::Int32, Some(&[0, 1, 0, 0])).to_ints(), Some(vec![256]));
    assert_eq!(tensor(DataType::Int32, None).to_ints(), Some(vec![7, -7]));
    assert_eq!(tensor(DataType::Float, None).to_ints(), None);
    assert_eq!(tensor(DataType::Float, None).to_floats(), Some(vec![0.5]));
    assert_eq!(tensor(DataType::Float, Some(&[0, 0, 128, 63])).to_floats(), Some(vec![1.0]));
    assert_eq!(tensor(DataType::Int8, None).to_floats(), None);
}
