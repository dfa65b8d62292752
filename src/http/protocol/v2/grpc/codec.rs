//! Parses messages after checking how much memory they will take.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::count;
use crate::http::problem::{Problem, grpc};

/// A codec for protobuf messages of prost.
#[derive(Debug)]
pub(super) struct CountedCodec<Out, In>(PhantomData<(Out, In)>);

/// One direction.
#[derive(Debug)]
pub(super) struct OneWay<T>(PhantomData<T>);

impl<Out, In> Default for CountedCodec<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Out, In> Codec for CountedCodec<Out, In>
where
    Out: Message + Send + 'static,
    In: Message + Default + Send + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = OneWay<Out>;
    type Decoder = OneWay<In>;

    fn encoder(&mut self) -> Self::Encoder {
        OneWay(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        OneWay(PhantomData)
    }
}

impl<T: Message> Encoder for OneWay<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(to).map_err(|_| grpc::of(Problem::internal()))
    }
}

impl<T: Message + Default> Decoder for OneWay<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        count::check(&bytes).map_err(grpc::of)?;
        // `bytes` fields of the message are slices of this buffer, not copies.
        T::decode(bytes).map(Some).map_err(|error| {
            grpc::of(Problem::bad_request(format!("the message cannot be read: {error}")))
        })
    }
}
