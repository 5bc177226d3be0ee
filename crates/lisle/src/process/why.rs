//! Why a value cannot be serialised: a serialiser that writes nothing and keeps the message.
#![forbid(unsafe_code)]

use serde::ser::{self, Serialize, Serializer};
use std::fmt::{self, Display};

#[derive(Clone, Copy)]
pub(super) struct Why;

#[derive(Debug)]
pub(super) struct Message(String);

impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

impl ser::Error for Message {
    fn custom<T: Display>(message: T) -> Message {
        Message(message.to_string())
    }
}

/// What has no parts says nothing.
macro_rules! silent {
    ($($name:ident($($type:ty),*);)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<(), Message> { Ok(()) })*
    };
}

/// What has parts is asked for them, one after the other.
macro_rules! parts {
    ($($name:ident($($type:ty),*) -> $kind:ident;)*) => {
        $(type $kind = Why;)*
        $(fn $name(self, $(_: $type),*) -> Result<Why, Message> { Ok(Why) })*
    };
}

type Name = &'static str;

impl Serializer for Why {
    type Ok = ();
    type Error = Message;

    silent! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(Name);
        serialize_unit_variant(Name, u32, Name);
    }

    parts! {
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(Name, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(Name, u32, Name, usize) -> SerializeTupleVariant;
        serialize_struct(Name, usize) -> SerializeStruct;
        serialize_struct_variant(Name, u32, Name, usize) -> SerializeStructVariant;
    }

    type SerializeSeq = Why;
    type SerializeMap = Why;

    fn serialize_seq(self, length: Option<usize>) -> Result<Why, Message> {
        counted(length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Why, Message> {
        counted(length)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Message> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: Name, value: &T) -> Result<(), Message> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: Name,
        _: u32,
        _: Name,
        value: &T,
    ) -> Result<(), Message> {
        value.serialize(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

fn counted(length: Option<usize>) -> Result<Why, Message> {
    match length {
        Some(_) => Ok(Why),
        None => Err(Message("it has a list or map that does not know its length: collect it first".into())),
    }
}

macro_rules! compounds {
    ($($compound:ident: $($name:ident($($key:ty)?)),+;)*) => {
        $(impl ser::$compound for Why {
            type Ok = ();
            type Error = Message;

            $(fn $name<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Result<(), Message> {
                value.serialize(Why)
            })+

            fn end(self) -> Result<(), Message> {
                Ok(())
            }
        })*
    };
}

compounds! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(Name);
    SerializeStructVariant: serialize_field(Name);
}
