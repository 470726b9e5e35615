-- Whether a tag is rare is judged by samples of this column. With the usual hundred of them one that few
-- keys have is now and then taken for a common one, and looked for in all keys of its tenant.
alter table keys alter column tags set statistics 1000;
