"""The client of Moodle's web services (REST, measured on 4.5).

`client.MoodleClient` calls one function; the other modules have a typed function for
each part of the API. `mzi` has the functions of the plugin ``local_moodle_zoho_sync``,
which a site may offer.
"""
