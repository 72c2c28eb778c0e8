-- How many migrations a version must know to work on what one of them leaves; null: that one, too.
alter table migrations add column needs integer;
