alter table keys alter column tags set statistics -1;
