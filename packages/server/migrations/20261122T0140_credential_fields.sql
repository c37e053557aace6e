-- breaking: no
-- The names of a custom credential's fields. An injection may read only fields that exist, and no value is opened to learn that.
alter table credentials add column field_names text[] not null default '{}';
