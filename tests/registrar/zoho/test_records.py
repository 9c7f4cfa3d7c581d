"""Records of the CRM: read, search and write, with the limits of a call."""

from datetime import UTC, datetime, timedelta

import pytest

from registrar.peers.errors import (
    PeerBusyError,
    PeerRefusedError,
    PeerUnavailableError,
    PeerUncertainError,
)
from registrar.zoho import records
from registrar.zoho.values import coql_text, criterion

FIELDS = ("First_Name", "Last_Name", "City", "Modified_Time")
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def add(zoho, number: int = 1, **values) -> list[str]:
    return [
        zoho.store.insert("BTEC_Students", {"First_Name": f"S{at}", **values})["id"]
        for at in range(number)
    ]


def test_records_are_found_by_their_ids_and_unknown_ids_are_left_out(crm, zoho):
    first, second = add(zoho, 2, City="رام الله")
    found = records.get_many(
        crm, module="BTEC_Students", ids=[first, second, "99"], fields=FIELDS
    )
    assert found.keys() == {first, second}
    assert found[first]["City"] == "رام الله"
    assert set(found[first]) == {"id", *FIELDS}


def test_no_ids_need_no_request(crm, zoho):
    assert records.get_many(crm, module="BTEC_Students", ids=[], fields=FIELDS) == {}
    assert zoho.requests == []


def test_one_record_has_all_its_fields(crm, zoho):
    [key] = add(zoho)
    found = records.get(crm, module="BTEC_Students", record_id=key)
    assert "National_Number" in found
    assert records.get(crm, module="BTEC_Students", record_id="99") is None


def test_a_module_that_does_not_exist_is_refused(crm):
    with pytest.raises(PeerRefusedError) as refused:
        records.get(crm, module="BTEC_Nothing", record_id="1")
    assert refused.value.reason == "INVALID_MODULE"
    assert refused.value.permanent


def test_pages_have_200_records_and_end(crm, zoho):
    keys = add(zoho, 401)
    found = list(records.pages(crm, module="BTEC_Students", fields=FIELDS))
    assert [len(page.records) for page in found] == [200, 200, 1]
    assert {row["id"] for page in found for row in page.records} == set(keys)
    assert [bool(page.next_token) for page in found] == [True, True, False]


def test_a_list_continues_after_a_page(crm, zoho):
    add(zoho, 401)
    first = next(records.pages(crm, module="BTEC_Students", fields=FIELDS))
    rest = list(
        records.pages(
            crm, module="BTEC_Students", fields=FIELDS, token=first.next_token
        )
    )
    assert [len(page.records) for page in rest] == [200, 1]


def test_a_delta_has_only_what_changed_since_oldest_change_first(crm, zoho):
    zoho.store.now = lambda: NOON
    early, later = add(zoho, 2)
    zoho.store.now = lambda: NOON + timedelta(minutes=5)
    [new] = add(zoho)
    zoho.store.now = lambda: NOON + timedelta(minutes=6)
    zoho.store.update("BTEC_Students", later, {"City": "جنين"})
    since = NOON + timedelta(minutes=5)
    [page] = records.pages(crm, module="BTEC_Students", fields=FIELDS, since=since)
    assert [row["id"] for row in page.records] == [new, later]
    assert early not in {row["id"] for row in page.records}
    none = NOON + timedelta(hours=1)
    found = records.pages(crm, module="BTEC_Students", fields=FIELDS, since=none)
    assert list(found) == []


def test_deleted_records_are_listed_since_a_time(crm, zoho):
    zoho.store.now = lambda: NOON
    old, new, _kept = add(zoho, 3)
    zoho.store.delete("BTEC_Students", old)
    zoho.store.now = lambda: NOON + timedelta(minutes=5)
    zoho.store.delete("BTEC_Students", new)
    found = records.deleted(crm, module="BTEC_Students", since=NOON)
    assert {row.id for row in found} == {old, new}
    since = NOON + timedelta(minutes=1)
    [row] = records.deleted(crm, module="BTEC_Students", since=since)
    assert (row.id, row.type) == (new, "recycle")
    assert list(records.deleted(crm, module="BTEC_Classes")) == []


@pytest.mark.parametrize("name", ["a,b", "a(b)", "back\\slash", "O'Brien", "سلمى (1)"])
def test_searches_and_queries_find_any_text(crm, zoho, name):
    [key] = add(zoho, 1, Last_Name=name)
    add(zoho, 1, Last_Name="another")
    [found] = records.search(
        crm,
        module="BTEC_Students",
        criteria=criterion("Last_Name", name),
        fields=FIELDS,
    )
    assert found["id"] == key
    text = coql_text(name)
    select = f"select City from BTEC_Students where Last_Name = {text} limit 1"  # noqa: S608
    [found] = records.query(crm, select=select)
    assert found["id"] == key


def test_a_search_may_miss_a_new_record_that_a_query_finds(crm, zoho):
    zoho.store.freeze_index()
    [key] = add(zoho, 1, Last_Name="new")
    search = {
        "module": "BTEC_Students",
        "criteria": criterion("Last_Name", "new"),
        "fields": FIELDS,
    }
    assert records.search(crm, **search) == []
    select = "select City from BTEC_Students where Last_Name = 'new'"
    assert [row["id"] for row in records.query(crm, select=select)] == [key]
    zoho.store.freeze_index()
    assert [row["id"] for row in records.search(crm, **search)] == [key]


def test_related_records_are_listed(crm, zoho):
    [student] = add(zoho)
    for at in range(201):
        registration = {"Student_ID": {"id": student}, "Registration_Number": f"R{at}"}
        zoho.store.insert("BTEC_Registrations", registration)
    found = records.related(
        crm,
        module="BTEC_Students",
        record_id=student,
        related_list="Registrations",
        fields=["Registration_Number", "Student_ID"],
    )
    assert len(found) == 201
    assert {row["Student_ID"]["id"] for row in found} == {student}


def test_each_row_of_a_write_has_its_own_result(crm, zoho):
    results = records.create(
        crm,
        module="BTEC_Students",
        records=[
            {"First_Name": "ليلى"},
            {"Birth_Date": "1/2/2010"},
            {"Gender": "Unknown"},
        ],
        run_workflows=False,
    )
    assert [result.error is None for result in results] == [True, False, False]
    assert zoho.store.records["BTEC_Students"][results[0].checked()]["Owner"]
    with pytest.raises(PeerRefusedError) as refused:
        results[1].checked()
    assert refused.value.details == {"field": "Birth_Date"}
    assert "1/2/2010" not in str(refused.value)
    assert zoho.requests[-1].json()["trigger"] == []


def test_a_write_of_which_all_rows_are_refused_has_results_too(crm):
    [result] = records.update(
        crm, module="BTEC_Students", records=[{"id": "99"}], run_workflows=True
    )
    assert result.error.reason == "INVALID_DATA"


def test_a_locked_record_can_be_written_later(crm, zoho):
    zoho.row_fault = lambda _row: "RECORD_LOCKED"
    [key] = add(zoho)
    [result] = records.update(
        crm, module="BTEC_Students", records=[{"id": key}], run_workflows=True
    )
    assert isinstance(result.error, PeerBusyError)


def test_a_duplicate_names_the_record_that_prevents_it(crm, zoho):
    row = {"Moodle_Grade_Composite_Key": "1-2-3-1", "Grade": "P"}
    first, second = (
        records.create(crm, module="BTEC_Grades", records=[row], run_workflows=True)[0]
        for _ in range(2)
    )
    assert second.error.reason == "DUPLICATE_DATA"
    assert second.id == first.id


def test_an_upsert_creates_once_and_then_updates(crm, zoho):
    results = [
        records.upsert(
            crm,
            module="BTEC_Grades",
            records=[{"Moodle_Grade_Composite_Key": "1-2-3-1", "Grade": grade}],
            by=["Moodle_Grade_Composite_Key"],
            run_workflows=False,
        )[0]
        for grade in ("R", "P")
    ]
    assert [result.action for result in results] == ["insert", "update"]
    [grade] = zoho.store.records["BTEC_Grades"].values()
    assert grade["Grade"] == "P"


def test_a_multi_select_lookup_is_written_and_read(crm, zoho):
    classes = [zoho.store.insert("BTEC_Classes", {"Name": n})["id"] for n in "AB"]
    field = "Class_Drop_Classes"
    [result] = records.create(
        crm,
        module="BTEC_Student_Requests",
        records=[{"Subject": "uuid", field: [{field: {"id": one}} for one in classes]}],
        run_workflows=True,
    )
    found = records.get(crm, module="BTEC_Student_Requests", record_id=result.id)
    assert [row[field]["id"] for row in found[field]] == classes


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (records.get_many, {"ids": ["1"] * 101, "fields": FIELDS}),
        (records.get_many, {"ids": ["1"], "fields": ["City"] * 51}),
        (records.create, {"records": [{}] * 101, "run_workflows": True}),
    ],
)
def test_a_call_beyond_a_limit_is_not_sent(crm, zoho, function, arguments):
    with pytest.raises(ValueError, match="at most"):
        function(crm, module="BTEC_Students", **arguments)
    assert zoho.requests == []


@pytest.mark.parametrize("key", ["", "1/Attachments", "../org", "1,2", "١", "a" * 9])
def test_an_id_that_is_no_number_is_not_sent(crm, zoho, key):
    with pytest.raises(ValueError, match="id of a record"):
        records.get(crm, module="BTEC_Students", record_id=key)
    with pytest.raises(ValueError, match="id of a record"):
        records.get_many(crm, module="BTEC_Students", ids=[key], fields=FIELDS)
    with pytest.raises(ValueError, match="api name"):
        records.get(crm, module="settings/modules", record_id="1")
    assert zoho.requests == []


# --- Faults ---------------------------------------------------------------------------


def create(crm, **values):
    return records.create(
        crm, module="BTEC_Student_Requests", records=[values], run_workflows=True
    )


def test_a_create_that_times_out_after_success_is_found_by_our_key(crm, zoho):
    assert create(crm, Subject="another")[0].error is None
    zoho.fail("drop_after")
    with pytest.raises(PeerUncertainError):
        create(crm, Subject="our-uuid")
    select = "select Subject from BTEC_Student_Requests where Subject = 'our-uuid'"
    [found] = records.query(crm, select=select)
    assert found["Subject"] == "our-uuid"


def test_a_read_whose_connection_breaks_can_be_repeated(crm, zoho):
    add(zoho)
    crm_list = {"module": "BTEC_Students", "fields": FIELDS}
    list(records.pages(crm, **crm_list))
    zoho.fail("drop_before")
    with pytest.raises(PeerUnavailableError):
        list(records.pages(crm, **crm_list))
    [page] = records.pages(crm, **crm_list)
    assert len(page.records) == 1


def test_the_concurrency_of_the_peer_is_kept(crm, zoho):
    from concurrent.futures import ThreadPoolExecutor

    [key] = add(zoho)
    zoho.max_concurrency = 5
    read = {"module": "BTEC_Students", "record_id": key}
    zoho.fail("slow", times=20, seconds=0.01)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: records.get(crm, **read), range(40)))
    assert len(found) == 40
    assert zoho.max_under_way <= 5
