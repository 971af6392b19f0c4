//! What a failed attempt means: a reason for the log, and the status the client gets when nothing else helps.

use leeward_telemetry::{AttemptResult, Reason};
use pingora::{Error, ErrorSource, ErrorType};
use rustls::AlertDescription;

/// The custom error type under which a name that does not resolve travels through Pingora.
pub const DNS: ErrorType = ErrorType::Custom("OriginDns");
/// The custom error type for a request without time left for another attempt.
pub const DEADLINE: ErrorType = ErrorType::Custom("OriginDeadline");

/// The custom error type for an origin without a server for the client's scheme.
pub const NO_SERVER: ErrorType = ErrorType::Custom("OriginNoServer");

/// The custom error type for servers that are known not to answer.
pub const UNAVAILABLE: ErrorType = ErrorType::Custom("OriginUnavailable");

/// The error type that [`Failure::of`] classifies as this reason: what failed before stands for what is given up now.
#[must_use]
pub fn type_of(reason: Reason) -> ErrorType {
    match reason {
        Reason::Dns => DNS,
        Reason::ConnectRefused => ErrorType::ConnectRefused,
        Reason::ConnectTimeout => ErrorType::ConnectTimedout,
        Reason::ConnectError => ErrorType::ConnectError,
        Reason::Tls => ErrorType::TLSHandshakeFailure,
        Reason::ReadTimeout => ErrorType::ReadTimedout,
        Reason::WriteTimeout => ErrorType::WriteTimedout,
        Reason::Closed => ErrorType::ConnectionClosed,
        Reason::BadAnswer => ErrorType::InvalidHTTPHeader,
        Reason::Deadline => DEADLINE,
        Reason::NoOrigin => NO_SERVER,
        _ => UNAVAILABLE,
    }
}

/// One failure, classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// The edge's own status (policy-language.md 5): 503 no connection, 504 too slow, 502 not HTTP, 500 ours; the
    /// origin's status when that was the failure; 400 when the client broke the rules.
    pub status: u16,
    /// How the attempt ended.
    pub result: AttemptResult,
}

impl Failure {
    /// Classifies an error of Pingora's.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let (reason, status, result) = match error.esource() {
            ErrorSource::Downstream => match error.etype {
                ErrorType::HTTPStatus(413) => (Reason::BodyTooLarge, 413, AttemptResult::Abandoned),
                ErrorType::ReadTimedout => (Reason::Client, 408, AttemptResult::Abandoned),
                _ => (Reason::Client, 400, AttemptResult::Abandoned),
            },
            ErrorSource::Internal | ErrorSource::Unset if !is_connect(&error.etype) => match error.etype {
                ErrorType::HTTPStatus(status) => (Reason::Status, status, AttemptResult::Status),
                _ => (Reason::Internal, 500, AttemptResult::Broken),
            },
            _ if is_unwelcome(error) => upstream(&ErrorType::TLSHandshakeFailure),
            _ => upstream(&error.etype),
        };
        Self { reason, status, result }
    }

    /// Whether no connection came about, so that not a byte of the request was sent.
    #[must_use]
    pub fn before_sending(&self) -> bool {
        self.result == AttemptResult::Connect
    }
}

/// Errors of connecting arrive with different sources; they mean the same.
fn is_connect(etype: &ErrorType) -> bool {
    upstream(etype).2 == AttemptResult::Connect || *etype == DEADLINE
}

/// Whether the origin refused the handshake after it looked done: in TLS 1.3 a server judges its client's certificate, or
/// the lack of one, when the client already sends. A server that never finished the handshake has read no request.
fn is_unwelcome(error: &Error) -> bool {
    let io = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let tls = io.and_then(std::io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = tls else { return false };
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
            | AlertDescription::DecryptError
    )
}

fn upstream(etype: &ErrorType) -> (Reason, u16, AttemptResult) {
    use AttemptResult::{Broken, Connect, Status, Timeout};
    match etype {
        ErrorType::ConnectTimedout => (Reason::ConnectTimeout, 503, Connect),
        ErrorType::ConnectRefused => (Reason::ConnectRefused, 503, Connect),
        ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::AcceptError
        | ErrorType::ConnectProxyFailure => (Reason::ConnectError, 503, Connect),
        ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError
        | ErrorType::TLSWantX509Lookup => (Reason::Tls, 503, Connect),
        ErrorType::ReadTimedout => (Reason::ReadTimeout, 504, Timeout),
        ErrorType::WriteTimedout => (Reason::WriteTimeout, 504, Timeout),
        ErrorType::HTTPStatus(status) => (Reason::Status, *status, Status),
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => (Reason::Closed, 502, Broken),
        etype if *etype == DNS => (Reason::Dns, 503, Connect),
        etype if *etype == UNAVAILABLE => (Reason::Unavailable, 503, Connect),
        etype if *etype == NO_SERVER => (Reason::NoOrigin, 502, Connect),
        etype if *etype == DEADLINE => (Reason::Deadline, 504, Timeout),
        ErrorType::InternalError => (Reason::Internal, 500, Broken),
        _ => (Reason::BadAnswer, 502, Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_answers_503_without_connection_504_when_late_502_when_not_http() {
        let cases = [
            (ErrorType::ConnectRefused, 503, Reason::ConnectRefused),
            (ErrorType::ConnectTimedout, 503, Reason::ConnectTimeout),
            (ErrorType::ConnectNoRoute, 503, Reason::ConnectError),
            (ErrorType::TLSHandshakeFailure, 503, Reason::Tls),
            (ErrorType::InvalidCert, 503, Reason::Tls),
            (DNS, 503, Reason::Dns),
            (ErrorType::ReadTimedout, 504, Reason::ReadTimeout),
            (ErrorType::WriteTimedout, 504, Reason::WriteTimeout),
            (DEADLINE, 504, Reason::Deadline),
            (NO_SERVER, 502, Reason::NoOrigin),
            (UNAVAILABLE, 503, Reason::Unavailable),
            (ErrorType::InvalidHTTPHeader, 502, Reason::BadAnswer),
            (ErrorType::ConnectionClosed, 502, Reason::Closed),
            (ErrorType::HTTPStatus(404), 404, Reason::Status),
        ];
        for (etype, status, reason) in cases {
            let failure = Failure::of(&Error::new_up(etype.clone()));
            assert_eq!((failure.status, failure.reason), (status, reason), "{etype:?}");
        }
    }

    #[test]
    fn a_reason_survives_being_an_error_again() {
        for reason in [
            Reason::Dns,
            Reason::ConnectRefused,
            Reason::ConnectTimeout,
            Reason::ConnectError,
            Reason::Tls,
            Reason::ReadTimeout,
            Reason::WriteTimeout,
            Reason::Closed,
            Reason::BadAnswer,
            Reason::Deadline,
            Reason::NoOrigin,
            Reason::Unavailable,
        ] {
            assert_eq!(Failure::of(&Error::new_up(type_of(reason))).reason, reason);
        }
    }

    #[test]
    fn a_certificate_that_the_origin_refuses_is_no_connection() {
        for (alert, status, reason) in [
            (AlertDescription::CertificateRequired, 503, Reason::Tls),
            (AlertDescription::UnknownCA, 503, Reason::Tls),
            (AlertDescription::InternalError, 502, Reason::Closed),
        ] {
            let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
            let failure = Failure::of(&Error::because(ErrorType::ReadError, "reading", cause).into_up());
            assert_eq!((failure.status, failure.reason), (status, reason), "{alert:?}");
        }
    }

    #[test]
    fn a_client_that_breaks_off_is_no_failure_of_the_origin() {
        for (etype, status, reason) in [
            (ErrorType::ReadError, 400, Reason::Client),
            (ErrorType::ReadTimedout, 408, Reason::Client),
            (ErrorType::HTTPStatus(413), 413, Reason::BodyTooLarge),
        ] {
            let failure = Failure::of(&Error::new_down(etype.clone()));
            assert_eq!((failure.status, failure.reason), (status, reason), "{etype:?}");
        }
    }
}
