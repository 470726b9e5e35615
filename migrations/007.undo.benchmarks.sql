drop index config_versions_benchmarks;
drop table alerts;
drop table benchmark_runs;
drop table benchmark_turns;
delete from keys where tenant_id = 'edgesign-benchmark';
delete from effects where tenant_id = 'edgesign-benchmark';
delete from config_versions where tenant_id = 'edgesign-benchmark';
delete from tokens where tenant_id = 'edgesign-benchmark';
delete from tenants where id = 'edgesign-benchmark';
