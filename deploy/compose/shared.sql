CREATE DATABASE headgate_shared;
