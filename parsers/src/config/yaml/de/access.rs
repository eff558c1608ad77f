//! What serde asks for inside of collections and enums.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::super::DocumentError;
use super::super::tree::Children;
use super::Reader;

/// The items of a sequence.
pub(super) struct Items<'t, 'b> {
    pub reader: Reader<'t, 'b>,
    pub rest: Children<'t>,
    pub count: usize,
}

impl<'t> SeqAccess<'t> for &mut Items<'t, '_> {
    type Error = DocumentError;

    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DocumentError> {
        let Some(item) = self.rest.next() else { return Ok(None) };
        self.count += 1;
        seed.deserialize(self.reader.at(item)).map(Some)
    }
}

/// The keys and values of a mapping.
pub(super) struct Pairs<'t, 'b> {
    pub reader: Reader<'t, 'b>,
    pub rest: Children<'t>,
    pub count: usize,
}

impl<'t> MapAccess<'t> for &mut Pairs<'t, '_> {
    type Error = DocumentError;

    fn next_key_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DocumentError> {
        let Some(key) = self.rest.next() else { return Ok(None) };
        self.count += 1;
        seed.deserialize(self.reader.at(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DocumentError> {
        let Some(value) = self.rest.next() else {
            return Err(de::Error::custom("a value was asked for without its key"));
        };
        seed.deserialize(self.reader.at(value))
    }
}

/// A variant's name as text.
pub(super) struct Named<'t, 'b>(pub(super) Reader<'t, 'b>);

impl<'t, 'b> EnumAccess<'t> for Named<'t, 'b> {
    type Error = DocumentError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), DocumentError> {
        Ok((seed.deserialize(self.0)?, self))
    }
}

impl<'t> VariantAccess<'t> for Named<'t, '_> {
    type Error = DocumentError;

    fn unit_variant(self) -> Result<(), DocumentError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(
        self,
        _seed: S,
    ) -> Result<S::Value, DocumentError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &"newtype variant"))
    }

    fn tuple_variant<V: Visitor<'t>>(
        self,
        _length: usize,
        _visitor: V,
    ) -> Result<V::Value, DocumentError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &"tuple variant"))
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DocumentError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &"struct variant"))
    }
}

/// A tag that names a variant, and the value it stands before.
pub(super) struct Tagged<'t, 'b> {
    pub variant: String,
    pub content: Reader<'t, 'b>,
}

impl<'t, 'b> EnumAccess<'t> for Tagged<'t, 'b> {
    type Error = DocumentError;
    type Variant = Reader<'t, 'b>;

    fn variant_seed<S: DeserializeSeed<'t>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Reader<'t, 'b>), DocumentError> {
        let name: StrDeserializer<'_, DocumentError> = StrDeserializer::new(&self.variant);
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'t> VariantAccess<'t> for Reader<'t, '_> {
    type Error = DocumentError;

    fn unit_variant(self) -> Result<(), DocumentError> {
        Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(
        self,
        seed: S,
    ) -> Result<S::Value, DocumentError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'t>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        de::Deserializer::deserialize_map(self, visitor)
    }
}
