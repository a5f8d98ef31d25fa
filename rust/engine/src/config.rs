//! The configuration of a collection, which is stored in it.

use serde_json::{Map, Value, json};
use tiercel_container::quoted;
use tiercel_index::{MAX_DIM, Metric, Options, OptionsError, Raw, Rerank, Storage};
use tiercel_text::{Language, Tokenizer};

use crate::errors::{OpenError, StorageError, WriteError};
use crate::filter::{FieldType, Schema};

/// The format version that is written, and the only one that is read.
const FORMAT: u64 = 1;

/// The configuration of a collection. Metric and tokenizer are fixed; a dim, a fingerprint and
/// fields of the schema can be added, and a compaction can change the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Length of every vector; `None` until the first vector arrives.
    pub dim: Option<usize>,
    /// The metric; its distance is smallest for the nearest vectors.
    pub metric: Metric,
    /// The form of the vectors that searches of graphs compare.
    pub storage: Storage,
    /// How texts become terms.
    pub tokenizer: Tokenizer,
    /// Name of the model that made the vectors.
    pub fingerprint: Option<String>,
    /// Types of metadata fields.
    pub schema: Schema,
}

/// The configuration that the caller of `open` asks for; `None` accepts the stored value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Length of every vector.
    pub dim: Option<usize>,
    /// The metric; its distance is smallest for the nearest vectors.
    pub metric: Option<Metric>,
    /// The form of the vectors that searches of graphs compare.
    pub storage: Option<Storage>,
    /// How texts become terms.
    pub tokenizer: Option<Tokenizer>,
    /// Name of the model that makes the vectors.
    pub fingerprint: Option<String>,
    /// Types of metadata fields.
    pub schema: Option<Schema>,
    /// Where full vectors are kept until the collection is closed. This is not stored; they are in memory
    /// without it.
    pub raw: Option<Raw>,
    /// What searches compare the best candidates with once more, until the collection is closed. This is
    /// not stored; it is full vectors without it.
    pub rerank: Option<Rerank>,
    /// Whether to fail if there is no collection, rather than create one.
    pub must_exist: bool,
}

const METRICS: [(&str, Metric); 3] = [("cosine", Metric::Cosine), ("dot", Metric::Dot), ("l2", Metric::L2)];

/// Return the name of a metric.
pub fn metric_name(metric: Metric) -> &'static str {
    METRICS.into_iter().find(|(_, each)| *each == metric).map_or("", |(name, _)| name)
}

/// Check that vectors of this length can have a storage; any length, as long as it is not known.
pub(crate) fn check_storage(storage: Storage, dim: Option<usize>) -> Result<(), StorageError> {
    let Storage::Codes(kind) = storage else { return Ok(()) };
    match kind.parts(dim.unwrap_or(MAX_DIM)) {
        Some((parts, most)) if parts > most => Err(StorageError { storage, dim, most }),
        _ => Ok(()),
    }
}

impl OpenOptions {
    /// Return the configuration of a new collection.
    pub(crate) fn into_config(self) -> Config {
        Config {
            dim: self.dim,
            metric: self.metric.unwrap_or(Metric::Cosine),
            storage: self.storage.unwrap_or(Storage::Auto),
            tokenizer: self.tokenizer.unwrap_or_default(),
            fingerprint: self.fingerprint,
            schema: self.schema.unwrap_or_default(),
        }
    }

    /// Return the configuration of a collection that is opened to write. As long as it has no
    /// vectors, a dim and an embedder can be added; a schema, or more fields in it, can be added at
    /// any time, but the records have yet to be checked against it.
    pub(crate) fn extended(&self, config: &Config) -> Result<Config, OpenError> {
        let mut next = config.clone();
        if config.dim.is_none() {
            next.dim = self.dim;
            next.fingerprint = config.fingerprint.clone().or_else(|| self.fingerprint.clone());
        }
        if let Some(schema) = self.schema.as_ref().filter(|schema| config.schema.is_part_of(schema)) {
            next.schema = schema.clone();
        }
        self.check(&next)?;
        Ok(next)
    }

    /// Check that a collection has the requested configuration.
    pub(crate) fn check(&self, config: &Config) -> Result<(), OpenError> {
        let why = "as in the collection";
        let differs = |option, stored: String, wanted: String| Err(OpenError::Differs { option, stored, why, wanted });
        let none = || "None".to_owned();
        let number = |dim: Option<usize>| dim.map_or_else(none, |dim| dim.to_string());
        // First, since the embedder determines the dim.
        match (&self.fingerprint, &config.fingerprint) {
            (Some(wanted), Some(stored)) if wanted != stored => {
                return differs("embedder", quoted(stored), quoted(wanted));
            }
            // It is unknown which model made the existing vectors.
            (Some(wanted), None) => {
                let fixed = "since the collection has vectors, or a dim, from before it had an embedder";
                let why = if config.dim.is_some() { fixed } else { why };
                return Err(OpenError::Differs { option: "embedder", stored: none(), why, wanted: quoted(wanted) });
            }
            _ => {}
        }
        if self.dim.is_some() && self.dim != config.dim {
            return differs("dim", number(config.dim), number(self.dim));
        }
        if let Some(metric) = self.metric.filter(|metric| *metric != config.metric) {
            return differs("metric", quoted(metric_name(config.metric)), quoted(metric_name(metric)));
        }
        if let Some(storage) = self.storage.filter(|storage| *storage != config.storage) {
            let wanted = quoted(&storage.name());
            let cure = format!("; compact(storage={wanted}) changes it");
            return differs("storage", quoted(&config.storage.name()), wanted + &cure);
        }
        if let Some(tokenizer) = self.tokenizer.filter(|tokenizer| *tokenizer != config.tokenizer) {
            let shown = |tokenizer: Tokenizer| tokenizer.stemming.map_or_else(none, |language| quoted(language.name()));
            return differs("language", shown(config.tokenizer), shown(tokenizer));
        }
        if let Some((stored, wanted)) = self.schema.as_ref().and_then(|schema| config.schema.difference(schema)) {
            let cure = if wanted.starts_with("no ") { "; pass its existing fields, too" } else { "" };
            let wanted = wanted + cure;
            return Err(OpenError::Differs { option: "schema", stored, why: "as in its schema", wanted });
        }
        Ok(())
    }
}

impl Config {
    /// Return the options of graphs. A build with 128 candidates takes four fifths of the
    /// time of one with 200, and a walk to the same recall takes a twentieth longer.
    pub(crate) fn options(&self, dim: usize) -> Options {
        let Self { metric, storage, .. } = *self;
        Options { storage, ef_construction: 128, ..Options::new(dim, metric) }
    }

    /// Check that there can be an index of vectors of the configured length.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if let Some(dim) = self.dim {
            Options { storage: Storage::Auto, ..self.options(dim) }.check()?;
        }
        Ok(check_storage(self.storage, self.dim)?)
    }

    /// Check that the first vectors can have this length, and return the options of their index.
    pub(crate) fn first_options(&self, dim: usize) -> Result<Options, WriteError> {
        let options = self.options(dim);
        match options.check() {
            Ok(()) => Ok(options),
            Err(OptionsError { option: "dim", low, high, .. }) => Err(WriteError::NoDim { low, high, got: dim }),
            // A storage that no vectors can have was refused when the collection was opened.
            Err(parts) => Err(WriteError::TooShort { least: parts.got, storage: self.storage, got: dim }),
        }
    }

    /// Whether a collection can change from this configuration to `next`.
    pub(crate) fn can_become(&self, next: &Self) -> bool {
        let dim = self.dim.is_none() || next.dim.is_none() || self.dim == next.dim;
        dim && (self.metric, self.tokenizer) == (next.metric, next.tokenizer)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let language = |language: Option<Language>| language.map(Language::name);
        let schema: Map<String, Value> =
            self.schema.fields().map(|(name, kind)| (name.to_owned(), kind.to_string().into())).collect();
        json!({
            "format": FORMAT,
            "dim": self.dim,
            "metric": metric_name(self.metric),
            "storage": self.storage.name(),
            "stemming": language(self.tokenizer.stemming),
            "stop_words": language(self.tokenizer.stop_words),
            "fingerprint": self.fingerprint,
            "schema": schema,
        })
        .to_string()
        .into_bytes()
    }

    /// Read what [`Self::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, OpenError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| OpenError::Config("is not JSON"))?;
        match value["format"].as_u64() {
            Some(FORMAT) => {}
            Some(got) => return Err(OpenError::Format { expected: FORMAT, got }),
            None => return Err(OpenError::Config("has no format")),
        }
        let language = |name: &str| match &value[name] {
            Value::Null => Ok(None),
            value => value
                .as_str()
                .and_then(Language::from_name)
                .map(Some)
                .ok_or(OpenError::Config("names an unknown language")),
        };
        let typed = |(name, kind): (&String, &Value)| {
            let kind =
                kind.as_str().and_then(FieldType::from_name).ok_or(OpenError::Config("names an unknown type"))?;
            Ok((name.clone(), kind))
        };
        let metric = METRICS.into_iter().find(|(name, _)| value["metric"].as_str() == Some(name));
        let metric = metric.ok_or(OpenError::Config("names an unknown metric"))?.1;
        let storage = match &value["storage"] {
            // Earlier builds had no other.
            Value::Null => Some(Storage::Auto),
            name => name.as_str().and_then(Storage::from_name),
        };
        let storage = storage.ok_or(OpenError::Config("names an unknown storage"))?;
        let dim = match &value["dim"] {
            Value::Null => None,
            dim => {
                let dim = dim.as_u64().and_then(|dim| usize::try_from(dim).ok());
                Some(dim.ok_or(OpenError::Config("has an invalid dim"))?)
            }
        };
        let config = Self {
            dim,
            metric,
            storage,
            tokenizer: Tokenizer { stemming: language("stemming")?, stop_words: language("stop_words")? },
            fingerprint: value["fingerprint"].as_str().map(Into::into),
            schema: value["schema"].as_object().into_iter().flatten().map(typed).collect::<Result<_, OpenError>>()?,
        };
        config.check().map_err(|_| OpenError::Config("has an invalid dim, or a storage that does not fit it"))?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_comes_back() {
        let tokenizer = Tokenizer { stemming: Some(Language::German), stop_words: None };
        let schema = Schema::from_iter([("tags".to_owned(), FieldType::from_name("list[str]").unwrap())]);
        let fingerprint = Some("model \"x\"".into());
        for storage in ["auto", "raw", "sq8", "rabitq2", "opq384x4", "rq32x8"] {
            let (schema, fingerprint) = (schema.clone(), fingerprint.clone());
            let storage = Storage::from_name(storage).unwrap();
            let config = Config { dim: Some(384), metric: Metric::L2, storage, tokenizer, fingerprint, schema };
            assert_eq!(Config::from_bytes(&config.to_bytes()).unwrap(), config);
        }
    }

    #[test]
    fn what_differs_is_named() {
        let config = OpenOptions { dim: Some(3), ..OpenOptions::default() }.into_config();
        let error = OpenOptions { dim: Some(4), ..OpenOptions::default() }.check(&config).unwrap_err();
        assert_eq!(error.to_string(), "dim: expected 3, as in the collection, got 4");
        let year = |kind| Some(Schema::from_iter([("year".to_owned(), FieldType::from_name(kind).unwrap())]));
        let typed = OpenOptions { schema: year("int"), ..OpenOptions::default() }.into_config();
        let error = OpenOptions { schema: year("str"), ..OpenOptions::default() }.check(&typed).unwrap_err();
        let message = "schema: expected 'year': int, as in its schema, got 'year': str";
        assert_eq!(error.to_string(), message);
        let coded = OpenOptions { storage: Storage::from_name("pq48x8"), ..OpenOptions::default() };
        let message =
            "storage: expected 'auto', as in the collection, got 'pq48x8'; compact(storage='pq48x8') changes it";
        assert_eq!(coded.check(&config).unwrap_err().to_string(), message);
        assert!(coded.check(&coded.clone().into_config()).is_ok());
        assert!(OpenOptions::default().check(&typed).is_ok());
        assert!(OpenOptions::default().check(&config).is_ok());
    }

    #[test]
    fn what_is_missing_can_be_added_and_nothing_else() {
        let schema = |fields: &[(&str, &str)]| -> Schema {
            fields.iter().map(|(name, kind)| ((*name).to_owned(), FieldType::from_name(kind).unwrap())).collect()
        };
        let bare = OpenOptions::default().into_config();
        let wanted = OpenOptions {
            dim: Some(3),
            fingerprint: Some("model".into()),
            schema: Some(schema(&[("a", "int")])),
            ..OpenOptions::default()
        };
        let full = wanted.extended(&bare).unwrap();
        assert_eq!(full, wanted.clone().into_config());
        assert!(bare.can_become(&full));
        let more = OpenOptions { schema: Some(schema(&[("a", "int"), ("b", "str")])), ..OpenOptions::default() };
        assert_eq!(more.extended(&full).unwrap().schema, more.schema.unwrap());
        let other = |wanted: OpenOptions| wanted.extended(&full).unwrap_err().to_string();
        for fields in [&[("a", "str"), ("b", "int")][..], &[("b", "int")]] {
            let message = other(OpenOptions { schema: Some(schema(fields)), ..OpenOptions::default() });
            assert!(message.starts_with("schema: expected 'a': int, as in its schema"), "{message}");
            assert_eq!(message.ends_with("got no 'a'; pass its existing fields, too"), fields.len() == 1, "{message}");
        }
        assert!(other(OpenOptions { dim: Some(4), ..OpenOptions::default() }).starts_with("dim: expected 3"));
        let vectors = Config { fingerprint: None, ..full.clone() };
        let message =
            OpenOptions { fingerprint: Some("x".into()), ..OpenOptions::default() }.extended(&vectors).unwrap_err();
        let why = "since the collection has vectors, or a dim, from before it had an embedder";
        assert_eq!(message.to_string(), format!("embedder: expected None, {why}, got 'x'"));
    }

    #[test]
    fn a_dimension_that_no_index_has_is_refused() {
        for dim in ["0", "-1", "1e300", "18446744073709551615", "\"3\""] {
            let bytes = format!(r#"{{"format": 1, "metric": "l2", "dim": {dim}}}"#);
            assert!(matches!(Config::from_bytes(bytes.as_bytes()), Err(OpenError::Config(_))), "{dim}");
        }
    }

    #[test]
    fn a_storage_is_auto_without_a_name_and_must_fit_the_dim() {
        let read = |rest: &str| Config::from_bytes(format!(r#"{{"format": 1, "metric": "l2"{rest}}}"#).as_bytes());
        assert_eq!(read("").unwrap().storage, Storage::Auto);
        assert_eq!(read(r#", "storage": "sq4", "dim": 3"#).unwrap().storage, Storage::from_name("sq4").unwrap());
        for rest in [r#""sq3""#, "4", r#""pq4x8", "dim": 3"#, r#""pq32769x8""#, r#""rq33x8""#] {
            assert!(matches!(read(&format!(r#", "storage": {rest}"#)), Err(OpenError::Config(_))), "{rest}");
        }
    }

    #[test]
    fn first_vectors_of_any_length_that_a_storage_allows_are_accepted() {
        let config = OpenOptions { storage: Storage::from_name("pq48x8"), ..OpenOptions::default() }.into_config();
        assert_eq!(config.first_options(48).unwrap().storage, config.storage);
        let message = "vectors: expected vectors of at least 48 values for the collection's storage 'pq48x8', got 47";
        assert_eq!(config.first_options(47).unwrap_err().to_string(), message);
        let message = "vectors: expected vectors of length 1 to 32768, got 40000";
        assert_eq!(config.first_options(40_000).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_later_format_is_refused() {
        let error = Config::from_bytes(br#"{"format": 2}"#).unwrap_err();
        assert!(matches!(error, OpenError::Format { expected: 1, got: 2 }));
    }
}
