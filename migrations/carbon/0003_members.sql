-- Where the members of the cluster were dialed last, for a start at which no seed answers.
CREATE TABLE known_members (
    address TEXT NOT NULL PRIMARY KEY
);
