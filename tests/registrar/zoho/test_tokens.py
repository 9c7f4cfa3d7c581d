"""Access tokens: shared, fetched once, replaced when Zoho refuses them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core import secrets
from registrar.peers.errors import PeerBusyError, PeerCredentialsError
from registrar.zoho import metadata, records
from tests.registrar.simulators import zoho as zoho_simulator
from tests.registrar.simulators.server import Response


def test_many_threads_and_clients_fetch_one_token(zoho, zoho_account, zoho_clients):
    clients = [zoho_clients(zoho_account) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(metadata.organisation, clients))
    assert set(names) == {"Simulated School"}
    assert zoho.refreshes == 1


def test_a_token_that_expired_early_is_replaced_and_the_call_repeated(crm, zoho):
    metadata.organisation(crm)
    zoho.expire_tokens()
    [result] = records.create(
        crm, module="BTEC_Students", records=[{"City": "غزة"}], run_workflows=True
    )
    assert result.error is None
    assert zoho.refreshes == 2
    assert len(zoho.store.records["BTEC_Students"]) == 1


def test_a_token_that_is_always_refused_ends_after_one_repetition(crm, zoho):
    refusal = Response({"code": "INVALID_TOKEN", "status": "error"}, 401)
    zoho.fail("status", times=9, response=refusal, matches=lambda r: "/crm/" in r.path)
    with pytest.raises(PeerCredentialsError) as refused:
        metadata.organisation(crm)
    assert refused.value.reason == "INVALID_TOKEN"
    assert sum("/crm/" in request.path for request in zoho.requests) == 2


def test_a_missing_permission_is_not_repeated(crm, zoho):
    refusal = Response({"code": "OAUTH_SCOPE_MISMATCH", "status": "error"}, 401)
    zoho.fail("status", response=refusal, matches=lambda r: "/crm/" in r.path)
    with pytest.raises(PeerCredentialsError) as refused:
        metadata.organisation(crm)
    assert refused.value.reason == "OAUTH_SCOPE_MISMATCH"
    assert zoho.refreshes == 1


@pytest.mark.parametrize("wrong", ["client_id", "client_secret", "refresh_token"])
def test_wrong_credentials_are_reported_without_them(zoho_account, zoho_clients, wrong):
    account = replace(zoho_account, **{wrong: "wrong-secret"})
    with pytest.raises(PeerCredentialsError) as refused:
        metadata.organisation(zoho_clients(account))
    assert refused.value.permanent
    assert "wrong-secret" not in f"{refused.value!r}{refused.value.details}"


def test_too_many_tokens_are_a_reason_to_wait(crm, zoho):
    zoho.max_refreshes = 0
    with pytest.raises(PeerBusyError) as refused:
        metadata.organisation(crm)
    assert refused.value.retry_after >= 60


def test_we_stop_before_zoho_refuses_further_tokens(crm, zoho):
    for _ in range(10):
        metadata.organisation(crm)
        zoho.expire_tokens()
    with pytest.raises(PeerBusyError) as refused:
        metadata.organisation(crm)
    assert refused.value.reason == "token_limit"
    assert zoho.refreshes == 10


def test_new_credentials_do_not_use_the_old_token(crm, zoho_account, zoho_clients):
    metadata.organisation(crm)
    other = zoho_clients(replace(zoho_account, refresh_token="other"))
    with pytest.raises(PeerCredentialsError):
        metadata.organisation(other)


def test_redis_has_no_token_in_the_clear(crm, zoho, redis_client):
    metadata.organisation(crm)
    texts = b"".join(redis_client.dump(key) for key in redis_client.scan_iter())
    assert all(token.encode() not in texts for token in zoho._tokens)
    assert zoho_simulator.REFRESH_TOKEN.encode() not in texts


def test_a_token_that_cannot_be_decrypted_is_fetched_again(
    crm, zoho, redis_client, settings, zoho_account
):
    from cryptography.fernet import Fernet

    metadata.organisation(crm)
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    metadata.organisation(crm)
    assert zoho.refreshes == 2
    assert secrets.is_encrypted(
        redis_client.get(f"registrar:token:{zoho_account.key}").decode()
    )


def test_no_secret_is_in_a_repr(zoho_account):
    text = repr(zoho_account)
    assert zoho_account.client_secret not in text
    assert zoho_account.refresh_token not in text


def test_no_secret_is_logged(crm, zoho, caplog):
    caplog.set_level("DEBUG")
    metadata.organisation(crm)
    text = "\n".join(record.getMessage() for record in caplog.records)
    secrets_sent = [
        *zoho._tokens,
        zoho_simulator.REFRESH_TOKEN,
        zoho_simulator.CLIENT_SECRET,
    ]
    assert not any(secret in text for secret in secrets_sent)
    assert not [r for r in caplog.records if r.name.startswith(("httpx", "httpcore"))]
