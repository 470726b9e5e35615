drop table effects;
