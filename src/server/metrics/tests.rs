//! What the page says. That promtool has nothing to complain of is tested on a real server, in `tests/metrics.rs`.

use http::Method;

use super::*;

/// Metrics with every kind of event and reading in them.
fn page() -> String {
    let metrics = Metrics::new(1_795_530_000_500);
    let route = "/v1/albums/{album}/photos";
    metrics.request_begins(route, &Method::POST);
    let status = [Some(201), Some(404), Some(503), None];
    for (n, status) in status.into_iter().enumerate() {
        let method = if n == 1 { &Method::TRACE } else { &Method::POST };
        metrics.request_begins(route, method);
        metrics.request_ended(&RequestEnd {
            route,
            method,
            status,
            duration: Duration::from_millis(30),
            received_bytes: 1_000,
            sent_bytes: 10,
        });
    }
    metrics.upload(UploadOutcome::New { size_bytes: 100 });
    metrics.upload(UploadOutcome::Known { size_bytes: 30 });
    metrics.upload(UploadOutcome::Linked { size_bytes: 20 });
    metrics.upload(UploadOutcome::Duplicate { size_bytes: 10 });
    metrics.upload(UploadOutcome::Refused { reason: "too_large" });
    metrics.rendition(RenditionOutcome::Hit);
    metrics.rendition(RenditionOutcome::Disk);
    metrics.rendition(RenditionOutcome::Joined);
    metrics.rendition(RenditionOutcome::Rendered { duration: Duration::from_millis(30) });
    metrics.rendition(RenditionOutcome::Refused { reason: "busy" });
    let call = BlobCall { operation: "write", duration: Duration::from_micros(700), bytes: 12, fault: None };
    metrics.blob_call(call);
    metrics.blob_call(BlobCall { duration: Duration::from_secs(3), bytes: 0, fault: Some(BlobFault::NoSpace), ..call });
    metrics.metadata_request("accepted");
    metrics.metadata_commit(17, Duration::from_micros(300), true);
    metrics.metadata_commit(1, Duration::from_micros(300), false);
    let readings = Readings {
        queues: vec![QueueReading {
            queue: "metadata",
            waiting: Some(3),
            waiting_limit: Some(4_096),
            running: Some(1),
            running_limit: Some(1),
        }],
        decoders: vec![DecoderReading { pool: "imaging", started: 5, lost: 2 }],
        engine: vec![
            EngineReading::Bytes { property: "block_cache", value: 4_096 },
            EngineReading::Items { property: "background_errors", value: 0 },
        ],
        site: Some(SiteReading { photos: 4, blobs: 2, logical_bytes: 160, stored_bytes: 100, ..SiteReading::default() }),
        sync_failures: 3,
        backend_away: true,
        spooled: Some(SpooledReading { copies: 3, bytes: 30, oldest: Duration::from_secs(4) }),
        hold_bytes: (1, 2),
        backend: Some(BackendReading { size_bytes: u64::MAX, free_bytes: 500 }),
        rendition_cache_bytes: Some(12),
        cold: [("recompressed", 5), ("no_gain", 0), ("failed", 0), ("undone", 0)],
        cold_saved_bytes: Some(6),
        healing: [("repaired", 8), ("copied", 0), ("lost", 1), ("failed", 0)],
        to_repair: Some(5),
        heal_braked: true,
        mirror: Some(MirrorReading { missed: 3, is_whole: false }),
        previews: [("prepared", 2), ("made", 3), ("failed", 1), ("passed_over", 0)],
        rendition_disk: Some(RenditionDiskReading {
            entries: 2,
            bytes: 20,
            max_bytes: 30,
            outcomes: [("hit", 5), ("miss", 1), ("damaged", 0), ("failed", 0)],
        }),
        edge: Some(EdgeReading { silence: Some(Duration::from_millis(1_500)), answers: 7, asked: 9, revoked: 2, joined: 1 }),
        copies_in_flight: Some(2),
        ready: true,
    };
    metrics.encode(&readings)
}

#[test]
fn what_happened_is_on_the_page() {
    let page = page();
    for line in [
        "process_start_time_seconds 1795530000.5",
        "halidom_build_info{version=\"0.1.0\"} 1",
        "halidom_http_requests_total{route=\"/v1/albums/{album}/photos\",method=\"POST\",status=\"2xx\"} 1",
        "halidom_http_requests_total{route=\"/v1/albums/{album}/photos\",method=\"other\",status=\"4xx\"} 1",
        "halidom_http_requests_total{route=\"/v1/albums/{album}/photos\",method=\"POST\",status=\"gone\"} 1",
        "halidom_http_request_duration_seconds_bucket{route=\"/v1/albums/{album}/photos\",method=\"POST\",le=\"0.05\"} 3",
        "halidom_http_requests_running{route=\"/v1/albums/{album}/photos\",method=\"POST\"} 1",
        "halidom_http_requests_running{route=\"/v1/albums/{album}/photos\",method=\"other\"} 0",
        "halidom_http_received_bytes_total{route=\"/v1/albums/{album}/photos\",method=\"POST\"} 3000",
        "halidom_uploads_total{outcome=\"duplicate\"} 1",
        "halidom_uploads_refused_total{reason=\"too_large\"} 1",
        "halidom_upload_bytes_total 160",
        "halidom_deduplication_saved_bytes_total 60",
        "halidom_renditions_total{outcome=\"hit\"} 1",
        "halidom_renditions_total{outcome=\"disk\"} 1",
        "halidom_rendition_disk_bytes 20",
        "halidom_rendition_disk_limit_bytes 30",
        "halidom_rendition_disk_entries 2",
        "halidom_rendition_disk_outcomes_total{outcome=\"hit\"} 5",
        "halidom_rendition_disk_outcomes_total{outcome=\"damaged\"} 0",
        "halidom_renditions_refused_total{reason=\"busy\"} 1",
        "halidom_render_duration_seconds_count 1",
        "halidom_blob_operation_duration_seconds_count{operation=\"write\"} 2",
        "halidom_blob_operation_bytes_total{operation=\"write\"} 12",
        "halidom_blob_faults_total{operation=\"write\",fault=\"no_space\"} 1",
        "halidom_metadata_commit_requests_sum 18.0",
        "halidom_metadata_commit_failures_total 1",
        "halidom_metadata_requests_total{outcome=\"accepted\"} 1",
        "halidom_queue_waiting{queue=\"metadata\"} 3",
        "halidom_decoder_processes_started_total{pool=\"imaging\"} 5",
        "halidom_decoder_processes_lost_total{pool=\"imaging\"} 2",
        "halidom_rocksdb_bytes{property=\"block_cache\"} 4096",
        "halidom_rocksdb_items{property=\"background_errors\"} 0",
        "halidom_previews_total{outcome=\"made\"} 3",
        "halidom_cold_photos_total{outcome=\"recompressed\"} 5",
        "halidom_cold_saved_bytes_total 6",
        "halidom_healed_copies_total{outcome=\"repaired\"} 8",
        "halidom_copies_to_repair 5",
        "halidom_heal_braked 1",
        "halidom_mirror_missed_copies 3",
        "halidom_mirror_whole 0",
        "halidom_stored_bytes 100",
        "halidom_backend_size_bytes 9223372036854775807",
        "halidom_spooled_copies 3",
        "halidom_spooled_bytes 30",
        "halidom_spooled_oldest_seconds 4.0",
        "halidom_ready 1",
    ] {
        assert!(page.lines().any(|on_page| on_page == line), "{line} is not on\n{page}");
    }
}

#[test]
fn what_was_not_read_is_not_claimed() {
    let metrics = Metrics::new(0);
    assert!(!metrics.encode(&Readings::default()).contains("halidom_photos 0"));
    metrics.encode(&Readings { site: Some(SiteReading { photos: 7, ..SiteReading::default() }), ..Readings::default() });
    assert!(metrics.encode(&Readings::default()).contains("halidom_photos 7\n"), "it stays as it was");
}

#[test]
fn labels_are_bounded() {
    let metrics = Metrics::new(0);
    for n in 0..2_000 {
        let (route, method) = (format!("/path/{n}"), Method::from_bytes(format!("WORD{n}").as_bytes()).unwrap());
        metrics.request_begins(&route, &method);
        metrics.request_ended(&RequestEnd {
            route: &route,
            method: &method,
            status: Some(200),
            duration: Duration::ZERO,
            received_bytes: 0,
            sent_bytes: 0,
        });
    }
    let page = metrics.encode(&Readings::default());
    assert_eq!(page.matches("halidom_http_requests_total{").count(), routes::MAX_ROUTES + 1);
    assert!(page.contains("halidom_http_requests_total{route=\"other\",method=\"other\",status=\"2xx\"} 1488"));
}

#[test]
fn every_sample_is_described_once() {
    let page = page();
    let described: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    for (name, help) in &described {
        assert_eq!(described.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
        assert!(!help.is_empty() && page.contains(&format!("# TYPE {name} ")), "{name}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        assert!(described.iter().any(|(known, _)| *known == family), "{name} is not described");
    }
}
