//! Webhooks, signed as Standard Webhooks says: the note as JSON by POST, its identifier as `webhook-id`.

use std::sync::Arc;
use std::time::Duration;

use crypto::webhook::{ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign};
use rustls::ClientConfig;

use super::http::{Patience, Url, Want, post, tls};
use super::{Failure, Note, Notifier};
use crate::exit::hinted;
use crate::settings::WebhookSettings;

/// The specification recommends 15 to 30 seconds for an answer.
const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(5), total: Duration::from_secs(20) };
/// Longest file of secrets.
const SECRETS_BYTES_MAX: usize = 4096;
/// Most secrets: the one of now, and some that are being replaced.
const SECRETS_MAX: usize = 4;

/// One address.
pub struct Webhook {
    url: Url,
    tls: Option<Arc<ClientConfig>>,
    secrets: Vec<Secret>,
    patience: Patience,
}

impl Webhook {
    /// Reads the secrets, newest first, and the certificates to trust.
    pub fn new(settings: &WebhookSettings) -> anyhow::Result<Self> {
        let url = Url::parse(&settings.url).map_err(|why| hinted(why, ""))?;
        let file = &settings.secret_file;
        let bytes = file.read(SECRETS_BYTES_MAX)?;
        let wrong = |why: String| {
            let hint = "one secret a line: whsec_ and the base64 of 24 to 64 random bytes";
            hinted(format!("{file}: {why}"), hint)
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not UTF-8".into()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets = lines
            .map(|line| Secret::parse(line).map_err(|error| wrong(error.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() || secrets.len() > SECRETS_MAX {
            return Err(wrong(format!("{} secrets, not 1 to {SECRETS_MAX}", secrets.len())));
        }
        let tls = match url.tls {
            true => Some(tls(settings.ca_file.as_deref()).map_err(|why| hinted(why, ""))?),
            false => None,
        };
        Ok(Self { url, tls, secrets, patience: PATIENCE })
    }

    /// With less patience, for tests.
    #[cfg(test)]
    pub fn within(mut self, total: Duration) -> Self {
        self.patience.total = total;
        self
    }
}

impl Notifier for Webhook {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let body = note.json().to_string();
        // The time of the attempt: receivers refuse what is older than five minutes.
        let now = jiff::Timestamp::now().as_second();
        let signed = sign(&self.secrets, &note.id, now, body.as_bytes())
            .map_err(|error| Failure::Never(error.to_string()))?;
        let now = now.to_string();
        let headers =
            [(ID_HEADER, note.id.as_str()), (TIMESTAMP_HEADER, &now), (SIGNATURE_HEADER, &signed)];
        let tls = self.tls.as_ref();
        let answer = post(&self.url, tls, &headers, body.as_bytes(), self.patience, Want::Head)?;
        let status = answer.status;
        let why = format!("HTTP status {status}");
        match (status, answer.retry_after) {
            (200..=299, _) => Ok(()),
            // This note will be no better another time, or nobody wants any more.
            (400 | 410 | 413 | 422, _) => Err(Failure::Never(why)),
            (429 | 503, Some(pause)) => Err(Failure::After(pause, why)),
            _ => Err(Failure::Later(why)),
        }
    }
}
