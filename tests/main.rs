//! Black box: the real binary through HTTP. One binary, one module per noun.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "tests are read by their names, and nothing outside uses them"
)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

mod support;

mod administration;
mod administrators_refused;
mod api_keys;
mod backup;
mod backup_disks;
mod bad_input;
mod bad_input_rows;
mod changes;
mod clients;
mod cluster;
mod cluster_admission;
mod cluster_losses;
mod cluster_seen;
mod cluster_tls;
mod commands;
mod conflicts;
mod connections;
mod console;
mod console_browser;
mod control_planes;
mod crash_points;
mod credentials;
mod cut_by_the_net;
mod cut_control;
mod cut_off;
mod cut_over_tls;
mod cut_streams;
mod demo;
mod ended_streams;
mod exact;
mod failure_detection;
mod faults;
mod forgotten;
mod gateway;
mod heads;
mod held_without_lease;
mod hostile_bulk;
mod hostile_calls;
mod hostile_cluster;
mod hostile_definitions;
mod hostile_frames;
mod hostile_members;
mod hostile_newcomers;
mod http2_heads;
mod inspected;
mod key_changes;
mod key_managers;
mod limits;
mod logs;
mod lone_founders;
mod manual;
mod membership;
mod net_faults;
mod notified;
mod oauth;
mod operations;
mod overload;
mod overtaken;
mod passing_on;
mod people;
mod plans;
mod policy_options;
mod portal;
mod portal_documents;
mod prompt;
mod protocol_versions;
mod publisher;
mod publishing;
mod readiness;
mod refusals;
mod reload;
mod renewal;
mod rivals;
mod rolling;
mod routing;
mod run_out;
mod searches;
mod service_manager;
mod shards;
mod socket_ends;
mod socket_tokens;
mod speech;
mod spellings;
mod splits;
mod stale;
mod start;
mod streams;
mod stuck_uploads;
mod supervision;
mod telling;
mod throttling;
mod token_files;
mod upstreams;
mod usage;
mod websocket;
mod whole_life;
mod without_key_managers;
