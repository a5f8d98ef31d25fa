//! The configuration of a collection, which is stored in it.

use serde_json::{Map, Value, json};
use tiercel_container::quoted;
use tiercel_index::{Dtype, Kind, Metric, Options, Raw, Rerank, Storage};
use tiercel_text::{Language, Tokenizer};

use crate::errors::OpenError;
use crate::filter::{FieldType, Schema};

/// The format version that is written, and the only one that is read.
const FORMAT: u64 = 1;

/// The configuration of a collection. Metric and tokenizer are fixed; a dim, a fingerprint and
/// fields of the schema can be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Length of every vector; `None` until the first vector arrives.
    pub dim: Option<usize>,
    /// The metric; its distance is smallest for the nearest vectors.
    pub metric: Metric,
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
    /// How texts become terms.
    pub tokenizer: Option<Tokenizer>,
    /// Name of the model that makes the vectors.
    pub fingerprint: Option<String>,
    /// Types of metadata fields.
    pub schema: Option<Schema>,
    /// Whether to fail if there is no collection, rather than create one.
    pub must_exist: bool,
}

const METRICS: [(&str, Metric); 3] = [("cosine", Metric::Cosine), ("dot", Metric::Dot), ("l2", Metric::L2)];

/// Return the name of a metric.
pub fn metric_name(metric: Metric) -> &'static str {
    METRICS.into_iter().find(|(_, each)| *each == metric).map_or("", |(name, _)| name)
}

/// Return the options of the main index. A build with 128 candidates takes four fifths of the time
/// of one with 200, and a walk to the same recall takes a twentieth longer.
pub(crate) fn options(dim: usize, metric: Metric) -> Options {
    Options {
        dim,
        metric,
        dtype: Dtype::F32,
        raw: Raw::Memory,
        rerank: Rerank::Full,
        storage: Storage::Auto,
        memory: None,
        kind: Kind::Graph,
        m: 16,
        ef_construction: 128,
        seed: 0,
    }
}

impl OpenOptions {
    /// Return the configuration of a new collection.
    pub(crate) fn into_config(self) -> Config {
        Config {
            dim: self.dim,
            metric: self.metric.unwrap_or(Metric::Cosine),
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
        let dim = match &value["dim"] {
            Value::Null => None,
            dim => {
                let dim = dim.as_u64().and_then(|dim| usize::try_from(dim).ok());
                let sound = dim.filter(|dim| options(*dim, metric).check().is_ok());
                Some(sound.ok_or(OpenError::Config("has an invalid dim"))?)
            }
        };
        Ok(Self {
            dim,
            metric,
            tokenizer: Tokenizer { stemming: language("stemming")?, stop_words: language("stop_words")? },
            fingerprint: value["fingerprint"].as_str().map(Into::into),
            schema: value["schema"].as_object().into_iter().flatten().map(typed).collect::<Result<_, OpenError>>()?,
        })
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
        let config = Config { dim: Some(384), metric: Metric::L2, tokenizer, fingerprint, schema };
        assert_eq!(Config::from_bytes(&config.to_bytes()).unwrap(), config);
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
    fn a_later_format_is_refused() {
        let error = Config::from_bytes(br#"{"format": 2}"#).unwrap_err();
        assert!(matches!(error, OpenError::Format { expected: 1, got: 2 }));
    }
}
