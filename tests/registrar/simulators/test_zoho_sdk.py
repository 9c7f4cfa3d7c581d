"""The official SDK drives the simulator: what it can do there, our client may rely on.

Each test compares what the SDK reads from the simulator's answers with its records.
"""

import io
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store.file_store import FileStore
from zohocrmsdk.src.com.zoho.api.logger.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import (
    HeaderMap,
    ParameterMap,
    attachments,
    coql,
    files,
    notifications,
    record as records,
    related_records,
)
from zohocrmsdk.src.com.zoho.crm.api.dc.data_center import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
from zohocrmsdk.src.com.zoho.crm.api.util.stream_wrapper import StreamWrapper

from tests.registrar.simulators import zoho as simulator_module
from tests.registrar.simulators.zoho import ZohoSimulator

STUDENTS = "BTEC_Students"


@pytest.fixture(autouse=True)
def sdk(zoho: ZohoSimulator, tmp_path, settings) -> Iterator[None]:
    """The SDK, initialised for the simulator."""
    Initializer.initialize(
        DataCenter.Environment(zoho.url, f"{zoho.url}/oauth/v2/token", zoho.url),
        OAuthToken(
            client_id=simulator_module.CLIENT_ID,
            client_secret=simulator_module.CLIENT_SECRET,
            refresh_token=simulator_module.REFRESH_TOKEN,
            find_user=False,
        ),
        store=FileStore(str(tmp_path / "tokens.txt")),
        sdk_config=SDKConfig(auto_refresh_fields=False, pick_list_validation=False),
        resource_path=str(tmp_path),
        logger=Logger.get_instance(
            level=Logger.Levels.ERROR, file_path=str(tmp_path / "log")
        ),
    )
    yield
    logger = logging.getLogger("SDKLogger")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def parameters(kind: type | None = None, **values: Any) -> ParameterMap:
    """Parameters of a request; ``kind`` is the SDK's class of them."""
    found = ParameterMap()
    for name, value in values.items():
        found.add(getattr(kind, name), value)
    return found


def a_record(**values: Any) -> records.Record:
    found = records.Record()
    for name, value in values.items():
        found.add_key_value(name, value)
    return found


def body_of(*rows: records.Record, **options: Any) -> records.BodyWrapper:
    body = records.BodyWrapper()
    body.set_data(list(rows))
    if "by" in options:
        body.set_duplicate_check_fields(options["by"])
    return body


def rows_of(response: Any) -> list[dict[str, Any]]:
    return [row.get_key_values() for row in response.get_object().get_data()]


def results_of(response: Any) -> list[tuple[str, dict[str, Any]]]:
    return [
        (str(result.get_code().get_value()), result.get_details())
        for result in response.get_object().get_data()
    ]


def test_it_lists_records_page_by_page(zoho):
    for at in range(3):
        zoho.store.insert(STUDENTS, {"City": f"مدينة {at}", "Birth_Date": "2010-02-01"})
    operations = records.RecordOperations(STUDENTS)
    fields = "City,Birth_Date,Modified_Time"
    first = operations.get_records(
        parameters(records.GetRecordsParam, fields=fields, per_page=2), HeaderMap()
    )
    info = first.get_object().get_info()
    assert (info.get_count(), info.get_more_records()) == (2, True)
    token = info.get_next_page_token()
    rest = operations.get_records(
        parameters(
            records.GetRecordsParam, fields=fields, per_page=2, page_token=token
        ),
        HeaderMap(),
    )
    found = rows_of(first) + rows_of(rest)
    assert {row["City"] for row in found} == {"مدينة 0", "مدينة 1", "مدينة 2"}
    assert {row["Birth_Date"] for row in found} == {date(2010, 2, 1)}
    assert rest.get_object().get_info().get_more_records() is False


def test_it_reads_lookups_and_multi_select_lookups(zoho):
    student = zoho.store.insert(STUDENTS, {"Name": "ليلى"})
    dropped = zoho.store.insert("BTEC_Classes", {"Name": "A"})
    field = "Class_Drop_Classes"
    request = zoho.store.insert(
        "BTEC_Student_Requests",
        {"Student_ID": {"id": student["id"]}, field: [{field: {"id": dropped["id"]}}]},
    )
    operations = records.RecordOperations("BTEC_Student_Requests")
    [row] = rows_of(operations.get_record(int(request["id"]), parameters()))
    assert str(row["Student_ID"].get_id()) == student["id"]
    assert row["Student_ID"].get_key_value("name") == "ليلى"
    [link] = row[field]
    values = link.get_key_values()
    assert str(values[field]["id"]) == dropped["id"]


def test_it_reads_no_records_as_204(zoho):
    operations = records.RecordOperations(STUDENTS)
    found = operations.get_records(
        parameters(records.GetRecordsParam, fields="City"), HeaderMap()
    )
    assert found.get_status_code() == 204


def test_it_creates_with_a_result_for_each_row(zoho):
    zoho.row_fault = lambda row: "INVALID_DATA" if row["City"] == "?" else ""
    operations = records.RecordOperations(STUDENTS)
    response = operations.create_records(
        body_of(a_record(City="غزة"), a_record(City="?")), HeaderMap()
    )
    assert response.get_status_code() == 207
    (code, details), (fault, _) = results_of(response)
    assert (code, fault) == ("SUCCESS", "INVALID_DATA")
    [stored] = zoho.store.records[STUDENTS].values()
    assert stored["id"] == str(details["id"])


def test_it_updates_and_upserts(zoho):
    operations = records.RecordOperations("BTEC_Grades")
    for grade in ("R", "P"):
        row = a_record(Moodle_Grade_Composite_Key="1-2-3-1", Grade=grade)
        response = operations.upsert_records(
            body_of(row, by=["Moodle_Grade_Composite_Key"]), HeaderMap()
        )
        assert results_of(response)[0][0] == "SUCCESS"
    [stored] = zoho.store.records["BTEC_Grades"].values()
    assert stored["Grade"] == "P"
    response = operations.update_record(
        int(stored["id"]), body_of(a_record(Grade="M")), HeaderMap()
    )
    assert results_of(response)[0][0] == "SUCCESS"
    assert stored["Grade"] == "M"


def test_it_reads_the_record_that_prevents_a_duplicate(zoho):
    first = zoho.store.insert("BTEC_Grades", {"Moodle_Grade_Composite_Key": "1"})
    operations = records.RecordOperations("BTEC_Grades")
    response = operations.create_records(
        body_of(a_record(Moodle_Grade_Composite_Key="1")), HeaderMap()
    )
    [(code, details)] = results_of(response)
    assert code == "DUPLICATE_DATA"
    duplicate = details["duplicate_record"]
    found = duplicate["id"] if isinstance(duplicate, dict) else duplicate.get_id()
    assert str(found) == first["id"]


def test_it_deletes_and_lists_deleted_records(zoho):
    gone = zoho.store.insert(STUDENTS, {"Name": "old"})
    operations = records.RecordOperations(STUDENTS)
    response = operations.delete_record(int(gone["id"]), parameters(), HeaderMap())
    assert results_of(response)[0][0] == "SUCCESS"
    found = operations.get_deleted_records(
        parameters(records.GetDeletedRecordsParam, type="all"), HeaderMap()
    )
    [row] = found.get_object().get_data()
    assert str(row.get_id()) == gone["id"]
    assert row.get_deleted_time().astimezone(UTC).year >= 2026


def test_it_searches(zoho):
    zoho.store.insert(STUDENTS, {"City": "غزة"})
    zoho.store.insert(STUDENTS, {"City": "جنين"})
    found = records.RecordOperations(STUDENTS).search_records(
        parameters(
            records.SearchRecordsParam, criteria="(City:equals:غزة)", fields="City"
        ),
        HeaderMap(),
    )
    assert [row["City"] for row in rows_of(found)] == ["غزة"]


def test_it_queries_with_coql(zoho):
    zoho.store.insert(STUDENTS, {"City": "غزة", "Status": "Active"})
    body = coql.BodyWrapper()
    body.set_select_query(
        "select City, Status from BTEC_Students where City = 'غزة' limit 5"
    )
    [row] = rows_of(coql.CoqlOperations().get_records(body))
    assert row["City"] == "غزة"
    body.set_select_query("select Nothing from BTEC_Students limit 5")
    refused = coql.CoqlOperations().get_records(body).get_object()
    assert refused.get_code().get_value() == "INVALID_QUERY"


def test_it_reads_related_lists(zoho):
    student = zoho.store.insert(STUDENTS, {})
    lookup = {"Student_ID": {"id": student["id"]}, "Registration_Number": "R1"}
    zoho.store.insert("BTEC_Registrations", lookup)
    operations = related_records.RelatedRecordsOperations("Registrations", STUDENTS)
    found = operations.get_related_records(
        int(student["id"]),
        parameters(
            related_records.GetRelatedRecordsParam, fields="Registration_Number"
        ),
        HeaderMap(),
    )
    assert [row["Registration_Number"] for row in rows_of(found)] == ["R1"]


def test_it_uploads_lists_and_downloads_attachments(zoho):
    student = int(zoho.store.insert(STUDENTS, {})["id"])
    body = attachments.FileBodyWrapper()
    body.set_file(StreamWrapper("receipt.txt", io.BytesIO(b"paid")))
    operations = attachments.AttachmentsOperations()
    uploaded = operations.upload_attachments(student, STUDENTS, body)
    [(code, details)] = results_of(uploaded)
    assert code == "SUCCESS"
    listed = operations.get_attachments(
        student, STUDENTS, parameters(attachments.GetAttachmentsParam, fields="id")
    )
    [row] = listed.get_object().get_data()
    assert str(row.get_id()) == str(details["id"])
    got = operations.get_attachment(row.get_id(), student, STUDENTS)
    stream = got.get_object().get_file().get_stream()
    assert b"".join(stream) == b"paid"


def test_it_uploads_a_file_for_an_upload_field(zoho):
    body = files.BodyWrapper()
    body.set_file([StreamWrapper("receipt.txt", io.BytesIO(b"paid"))])
    uploaded = files.FilesOperations().upload_files(body, parameters())
    [(code, details)] = results_of(uploaded)
    assert code == "SUCCESS"
    assert zoho.files[details["id"]][2] == b"paid"


def test_it_opens_reads_changes_and_closes_a_channel(zoho):
    channel = notifications.Notification()
    channel.set_channel_id("1000000068001")
    channel.set_events([f"{STUDENTS}.all"])
    channel.set_token("t")
    channel.set_notify_url("https://memora.example/hook")
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    channel.set_channel_expiry(expires)
    body = notifications.BodyWrapper()
    body.set_watch([channel])
    operations = notifications.NotificationsOperations()
    opened = operations.enable_notifications(body)
    assert [row.get_code().get_value() for row in opened.get_object().get_watch()] == [
        "SUCCESS"
    ]
    found = operations.get_notifications(
        parameters(notifications.GetNotificationsParam, channel_id=1000000068001)
    )
    [row] = found.get_object().get_watch()
    assert row.get_channel_id() == "1000000068001"
    assert row.get_channel_expiry() == expires
    changed = operations.update_notifications(body).get_object().get_watch()
    assert changed[0].get_code().get_value() == "SUCCESS"
    closed = operations.delete_notification(
        parameters(notifications.DeleteNotificationParam, channel_ids="1000000068001")
    )
    assert closed.get_object().get_watch()[0].get_code().get_value() == "SUCCESS"
    assert zoho.channels == {}


def test_it_reads_the_error_of_a_wrong_module(zoho):
    operations = records.RecordOperations("BTEC_Nothing")
    with pytest.raises(SDKException, match="INVALID_MODULE"):
        operations.get_records(
            parameters(records.GetRecordsParam, fields="City"), HeaderMap()
        )
